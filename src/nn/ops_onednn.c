/* ops_onednn.c: the ops on oneDNN, in float32; how steps are run.
 *
 * Everything runs on the calling thread: kernels are made for, and run with,
 * one OpenMP thread. Primitives are immutable and shared; each run has its own
 * stream, scratchpads (in its arena) and memory handles. */
#include "nn/onednn.h"

#include <stdlib.h>
#include <string.h>

enum sosie_status sosie_onednn_fail(struct sosie_error *err,
                                    dnnl_status_t status, const char *what)
{
    return sosie_fail(
        err, status == dnnl_out_of_memory ? SOSIE_NO_MEMORY : SOSIE_REFUSED,
        "oneDNN: %s: %s", what, dnnl_status2str(status));
}

bool sosie_onednn_window(const struct sosie_window *from,
                         struct sosie_conv_window *window)
{
    for (size_t i = 0; i < 2; i++) {
        size_t reach = (from->kernel[i] - 1) * from->dilations[i] + 1;
        window->strides[i] = (int64_t)from->strides[i];
        window->dilations[i] = (int64_t)from->dilations[i];
        window->pads_begin[i] = (int64_t)from->pads[i];
        window->pads_end[i] = (int64_t)from->pads[i + 2];
        if (from->pads[i] >= reach || from->pads[i + 2] >= reach)
            return false;
    }
    return true;
}

void sosie_onednn_limit_to_avx2(void)
{
    (void)dnnl_set_max_cpu_isa(dnnl_cpu_isa_avx2);
}

/* A set of instructions is the bits of all those in it. */
static bool cpu_has(dnnl_cpu_isa_t isa)
{
    return (dnnl_get_effective_cpu_isa() & isa) == isa;
}

bool sosie_cpu_has_bf16(void)
{
    return cpu_has(dnnl_cpu_isa_avx512_core_bf16);
}

bool sosie_cpu_has_amx(void)
{
    return cpu_has(dnnl_cpu_isa_avx512_core_amx);
}

static enum sosie_status onednn_lower(struct sosie_net *net,
                                      struct sosie_error *err)
{
    dnnl_status_t dnn = dnnl_out_of_memory;
    struct sosie_onednn *backend =
        sosie_arena_alloc(&net->graph.arena, 1, sizeof(*backend));

    omp_set_num_threads(1); /* kernels are made for the threads there are */
    net->backend = backend;
    if (backend) {
        *backend = (struct sosie_onednn){.mds.arena = &net->graph.arena};
        dnn = dnnl_engine_create(&backend->engine, dnnl_cpu, 0);
    }
    if (!dnn)
        dnn = dnnl_stream_create(&backend->stream, backend->engine,
                                 dnnl_stream_default_flags);
    return dnn ? sosie_onednn_fail(err, dnn, "starting")
               : sosie_onednn_lower(net, err);
}

static void onednn_release(struct sosie_net *net)
{
    struct sosie_onednn *backend = net->backend;
    for (size_t i = 0; i < net->n_steps; i++) {
        struct sosie_onednn_code *code = net->steps[i].code;
        if (code && !net->steps[i].run)
            dnnl_primitive_destroy(code->primitive);
    }
    if (!backend)
        return;
    sosie_mds_release(&backend->mds);
    dnnl_stream_destroy(backend->stream);
    dnnl_engine_destroy(backend->engine);
}

/* ---- weights ------------------------------------------------------------- */

static dnnl_status_t run_reorder(const struct sosie_onednn *backend,
                                 const struct sosie_onednn_packing *packing,
                                 void *from, void *to)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t primitive = NULL;
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, NULL}, {DNNL_ARG_TO, NULL}};
    dnnl_status_t dnn;

    if ((dnn = sosie_reorder_pd(backend->engine, packing->from, packing->to,
                                NULL, &pd)) ||
        (dnn = dnnl_primitive_create(&primitive, pd)) ||
        (dnn = dnnl_memory_create(&args[0].memory, packing->from,
                                  backend->engine, from)) ||
        (dnn = dnnl_memory_create(&args[1].memory, packing->to, backend->engine,
                                  to)) ||
        (dnn = dnnl_primitive_execute(primitive, backend->stream, 2, args)))
        goto out;
    dnn = dnnl_stream_wait(backend->stream);
out:
    dnnl_memory_destroy(args[0].memory);
    dnnl_memory_destroy(args[1].memory);
    dnnl_primitive_destroy(primitive);
    dnnl_primitive_desc_destroy(pd);
    return dnn;
}

static enum sosie_status onednn_pack(const struct sosie_net *net,
                                     const struct sosie_buffer *buffer,
                                     const void *data, void *memory,
                                     struct sosie_error *err)
{
    const struct sosie_onednn_packing *packing = buffer->packing;
    dnnl_status_t dnn;

    if (packing->same) {
        memcpy(memory, data, buffer->extent.size);
        return SOSIE_OK;
    }
    /* oneDNN's memory handles are never const; a reorder only reads this */
    dnn = run_reorder(net->backend, packing, (void *)(uintptr_t)data, memory);
    return dnn ? sosie_onednn_fail(err, dnn, "packing weights") : SOSIE_OK;
}

/* ---- runs ---------------------------------------------------------------- */

/* run->backend */
struct bound {
    dnnl_stream_t stream;
    size_t *first_arg;      /* of each step, among args */
    size_t n_args;          /* of all steps */
    dnnl_exec_arg_t args[]; /* step by step; nothing in it for our own code */
};

static enum sosie_status onednn_bind(struct sosie_net_run *run,
                                     struct sosie_error *err)
{
    const struct sosie_net *net = run->net;
    const struct sosie_onednn *backend = net->backend;
    dnnl_exec_arg_t *arg;
    size_t n = 0;
    dnnl_status_t dnn;
    struct bound *bound;

    for (size_t i = 0; i < net->n_steps; i++)
        n += net->steps[i].n_args;
    bound = calloc(1, sizeof(*bound) + n * sizeof(*arg));
    if (bound)
        bound->first_arg = calloc(net->n_steps + 1, sizeof(*bound->first_arg));
    if (!bound || !bound->first_arg) {
        free(bound);
        return sosie_fail(err, SOSIE_NO_MEMORY, "a run of the network");
    }
    run->backend = bound;
    bound->n_args = n;
    dnn = dnnl_stream_create(&bound->stream, backend->engine,
                             dnnl_stream_default_flags);
    arg = bound->args;
    for (size_t i = 0; i < net->n_steps && !dnn; i++) {
        const struct sosie_step *step = &net->steps[i];
        const struct sosie_onednn_code *code = step->code;
        bound->first_arg[i] = (size_t)(arg - bound->args);
        for (size_t k = 0; k < step->n_args && !dnn; k++, arg++) {
            if (step->run)
                continue;
            arg->arg = code->args[k].id;
            dnn = dnnl_memory_create(&arg->memory, code->args[k].md,
                                     backend->engine,
                                     sosie_run_buffer(run, step->args[k]));
        }
    }
    return dnn ? sosie_onednn_fail(err, dnn, "making a run") : SOSIE_OK;
}

static void onednn_unbind(struct sosie_net_run *run)
{
    struct bound *bound = run->backend;
    if (!bound)
        return;
    for (size_t i = 0; i < bound->n_args; i++)
        dnnl_memory_destroy(bound->args[i].memory);
    dnnl_stream_destroy(bound->stream);
    free(bound->first_arg);
    free(bound);
}

static enum sosie_status onednn_forward(struct sosie_net_run *run, size_t first,
                                        size_t last, unsigned wanted,
                                        struct sosie_error *err)
{
    struct bound *bound = run->backend;
    dnnl_status_t dnn = dnnl_success;

    omp_set_num_threads(1); /* this thread's setting: no team is made */
    for (size_t i = first; i < last && !dnn; i++) {
        const struct sosie_step *step = &run->net->steps[i];
        const struct sosie_onednn_code *code = step->code;
        if (!(step->wanted & wanted))
            ;
        else if (step->run)
            step->run(run, step);
        else
            dnn = dnnl_primitive_execute(code->primitive, bound->stream,
                                         (int)step->n_args,
                                         bound->args + bound->first_arg[i]);
    }
    if (!dnn)
        dnn = dnnl_stream_wait(bound->stream);
    return dnn ? sosie_onednn_fail(err, dnn, "a forward pass") : SOSIE_OK;
}

const struct sosie_ops sosie_ops_onednn = {
    onednn_lower,  onednn_release, onednn_pack, onednn_bind,
    onednn_unbind, onednn_forward, true,
};
