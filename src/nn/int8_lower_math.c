/* int8_lower_math.c: sums and products of two tensors of bytes, means, and what
 * picks bytes of several places: pools and Concat. */
#include "nn/int8_lowering.h"

#include <math.h>

/* ---- two tensors --------------------------------------------------------- */

/* Sum or product of two functions of the same bytes. */
static enum sosie_status
lower_both(struct sosie_int8 *int8, const struct sosie_node *node,
           struct sosie_int8_meaning a, struct sosie_int8_meaning b,
           struct sosie_int8_meaning y, struct sosie_error *err)
{
    const struct sosie_int8_tensor *from_a = &int8->tensors[node->inputs[0]];
    const struct sosie_int8_tensor *from_b = &int8->tensors[node->inputs[1]];
    struct sosie_int8_tensor both = *from_a;
    for (size_t q = 0; q < 256; q++) {
        double u = (double)(from_a->table[q] - a.zero) * (double)a.scale;
        double v = (double)(from_b->table[q] - b.zero) * (double)b.scale;
        double r = node->op == SOSIE_OP_ADD ? u + v : u * v;
        both.table[q] =
            sosie_int8_to_byte(r / (double)y.scale + (double)y.zero);
    }
    return sosie_int8_set_table(int8, from_a->root, both.table, node->output,
                                err);
}

/* The meaning of a result whose steps are not so small against those of what it
 * is computed from, `step`, that numbers leave int32. Up to there all but 0 are
 * beyond a byte's range anyhow. */
static struct sosie_int8_meaning within_reach(struct sosie_int8_meaning result,
                                              float step)
{
    result.scale = fmaxf(result.scale, step * 0x1p-14F);
    return result;
}

static enum sosie_status
lower_scale(struct sosie_int8 *int8, const struct sosie_node *node,
            bool is_swapped, struct sosie_int8_meaning a,
            struct sosie_int8_meaning b, struct sosie_int8_meaning y,
            struct sosie_error *err)
{
    struct sosie_int8_tensor *x, *s, *out = &int8->tensors[node->output];
    struct sosie_qcode code = {.kind = SOSIE_Q_SCALE,
                               .zero_a = is_swapped ? b.zero : a.zero,
                               .zero_b = is_swapped ? a.zero : b.zero,
                               .gain = a.scale * b.scale /
                                       within_reach(y, a.scale * b.scale).scale,
                               .shift = (float)y.zero};
    uint32_t args[4];
    enum sosie_status st;
    if ((st = sosie_int8_bytes_of(int8, node->inputs[is_swapped], &x, err)) ||
        (st = sosie_int8_bytes_of(int8, node->inputs[!is_swapped], &s, err)) ||
        (st = sosie_int8_new_tensor(int8, node->output, out, err)) ||
        (st = sosie_net_add_buffer(int8->net,
                                   2 * x->layout.pixel * sizeof(float),
                                   SOSIE_NO_VALUE, NULL, &args[2], err)))
        return st;
    code.in[0] = x->layout;
    code.in[1] = s->layout;
    code.out = out->layout;
    args[0] = x->buffer;
    args[1] = s->buffer;
    args[3] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 4, err);
}

static struct sosie_qsum sum_of(enum sosie_op op, struct sosie_int8_meaning a,
                                struct sosie_int8_meaning b,
                                struct sosie_int8_meaning y)
{
    struct sosie_qsum sum = {.low = 0.0F, .high = 255.0F};
    y = within_reach(y, op == SOSIE_OP_ADD ? fmaxf(a.scale, b.scale)
                                           : a.scale * b.scale);
    if (op == SOSIE_OP_ADD) {
        sum.gain_a = a.scale / y.scale;
        sum.gain_b = b.scale / y.scale;
        sum.shift = (float)y.zero - sum.gain_a * (float)a.zero -
                    sum.gain_b * (float)b.zero;
    } else {
        sum.gain_a = a.scale * b.scale / y.scale;
        sum.shift = (float)y.zero;
    }
    return sum;
}

enum sosie_status sosie_int8_lower_binary(struct sosie_int8 *int8,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    const struct sosie_shape *shape =
        &sosie_int8_value(int8, node->output)->shape;
    struct sosie_int8_tensor *a_bytes, *b_bytes,
        *out = &int8->tensors[node->output];
    sosie_value_id a_id = node->inputs[0], b_id = node->inputs[1];
    struct sosie_int8_meaning a, b, y;
    struct sosie_qcode code = {.kind = node->op == SOSIE_OP_ADD ? SOSIE_Q_ADD
                                                                : SOSIE_Q_MUL};
    uint32_t args[3];
    enum sosie_status st;

    if ((st = sosie_int8_read_meaning(int8, a_id, &a, err)) ||
        (st = sosie_int8_read_meaning(int8, b_id, &b, err)) ||
        (st = sosie_int8_read_meaning(int8, node->output, &y, err)))
        return st;
    if (!sosie_shape_equal(&sosie_int8_value(int8, a_id)->shape, shape) ||
        !sosie_shape_equal(&sosie_int8_value(int8, b_id)->shape, shape))
        return lower_scale(
            int8, node,
            !sosie_shape_equal(&sosie_int8_value(int8, a_id)->shape, shape), a,
            b, y, err);
    if (int8->tensors[a_id].root == int8->tensors[b_id].root &&
        int8->tensors[a_id].root != SOSIE_NO_VALUE)
        return lower_both(int8, node, a, b, y, err);
    if ((st = sosie_int8_bytes_of(int8, a_id, &a_bytes, err)) ||
        (st = sosie_int8_bytes_of(int8, b_id, &b_bytes, err)) ||
        (st = sosie_int8_new_tensor(int8, node->output, out, err)))
        return st;
    code.sum = sum_of(node->op, a, b, y);
    code.zero_a = a.zero;
    code.zero_b = b.zero;
    code.in[0] = a_bytes->layout;
    code.in[1] = b_bytes->layout;
    code.out = out->layout;
    args[0] = a_bytes->buffer;
    args[1] = b_bytes->buffer;
    args[2] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 3, err);
}

/* ---- means, pools and Concat --------------------------------------------- */

enum sosie_status sosie_int8_lower_mean(struct sosie_int8 *int8,
                                        const struct sosie_node *node,
                                        struct sosie_error *err)
{
    bool to_float = sosie_int8_value(int8, node->output)->dtype == SOSIE_F32;
    struct sosie_qcode code = {.kind = SOSIE_Q_MEAN};
    struct sosie_int8_tensor *x, *out = &int8->tensors[node->output];
    struct sosie_int8_meaning from = {1.0F, 0}, to = from;
    uint32_t args[3];
    enum sosie_status st;

    if ((st = sosie_int8_read_meaning(int8, node->inputs[0], &from, err)) ||
        (!to_float &&
         (st = sosie_int8_read_meaning(int8, node->output, &to, err))) ||
        (st = sosie_int8_bytes_of(int8, node->inputs[0], &x, err)) ||
        (st =
             sosie_net_add_buffer(int8->net, x->layout.pixel * sizeof(uint32_t),
                                  SOSIE_NO_VALUE, NULL, &args[1], err)))
        return st;
    st = to_float ? sosie_int8_floats_out(int8, node->output, &args[2], err)
                  : sosie_int8_new_tensor(int8, node->output, out, err);
    if (st)
        return st;
    args[0] = x->buffer;
    if (!to_float)
        args[2] = out->buffer;
    code.in[0] = x->layout;
    code.out = out->layout;
    code.floats.channel = to_float;
    if (!to_float)
        to = within_reach(to, from.scale);
    code.gain =
        from.scale / to.scale / (float)(x->layout.height * x->layout.width);
    code.shift = (float)to.zero - from.scale / to.scale * (float)from.zero;
    return sosie_int8_add_step(int8, int8->node, &code, args, 3, err);
}

enum sosie_status sosie_int8_lower_max_pool(struct sosie_int8 *int8,
                                            const struct sosie_node *node,
                                            struct sosie_error *err)
{
    struct sosie_qcode code = {.kind = SOSIE_Q_MAX_POOL,
                               .window = node->pool.window};
    struct sosie_int8_tensor *x, *out = &int8->tensors[node->output];
    struct sosie_int8_meaning from, to;
    uint8_t table[256];
    uint32_t args[3];
    enum sosie_status st;

    if ((st = sosie_int8_read_meaning(int8, node->inputs[0], &from, err)) ||
        (st = sosie_int8_read_meaning(int8, node->output, &to, err)) ||
        (st = sosie_int8_bytes_of(int8, node->inputs[0], &x, err)) ||
        (st = sosie_int8_new_tensor(int8, node->output, out, err)) ||
        (st = sosie_net_add_buffer(int8->net, x->layout.width * x->layout.pixel,
                                   SOSIE_NO_VALUE, NULL, &args[1], err)))
        return st;
    sosie_int8_make_table(from, to, NULL, table);
    for (size_t q = 0; q < 256 && !code.tables; q++)
        if (table[q] != q &&
            !(code.tables = sosie_int8_keep_table(int8, table)))
            return sosie_int8_no_memory(err);
    code.in[0] = x->layout;
    code.out = out->layout;
    args[0] = x->buffer;
    args[2] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args, 3, err);
}

enum sosie_status sosie_int8_lower_concat(struct sosie_int8 *int8,
                                          const struct sosie_node *node,
                                          struct sosie_error *err)
{
    struct sosie_qcode code = {.kind = SOSIE_Q_CONCAT};
    struct sosie_int8_tensor *out = &int8->tensors[node->output];
    struct sosie_qlayout *parts =
        sosie_arena_alloc(int8->arena, node->n_inputs, sizeof(*parts));
    uint8_t(*tables)[256] =
        sosie_arena_alloc(int8->arena, node->n_inputs, sizeof(*tables));
    uint32_t args[SOSIE_MAX_INPUTS + 1];
    struct sosie_int8_meaning from, to;
    enum sosie_status st =
        sosie_int8_read_meaning(int8, node->output, &to, err);

    if (!st && (!parts || !tables))
        st = sosie_int8_no_memory(err);
    for (size_t k = 0; k < node->n_inputs && !st; k++) {
        struct sosie_int8_tensor *part;
        if ((st = sosie_int8_read_meaning(int8, node->inputs[k], &from, err)) ||
            (st = sosie_int8_bytes_of(int8, node->inputs[k], &part, err)))
            break;
        sosie_int8_make_table(from, to, NULL, tables[k]);
        parts[k] = part->layout;
        args[k] = part->buffer;
    }
    if (!st)
        st = sosie_int8_new_tensor(int8, node->output, out, err);
    if (st)
        return st;
    code.parts = parts;
    code.tables = (const uint8_t(*)[256])tables;
    code.out = out->layout;
    args[node->n_inputs] = out->buffer;
    return sosie_int8_add_step(int8, int8->node, &code, args,
                               node->n_inputs + 1, err);
}
