/* net.h: a graph made ready to run, and the memory to run it in.
 *
 *   graph -> passes -> steps over buffers -> one arena planned -> runs
 *
 * A *net* is immutable: steps, packed weights, primitives, the plan. Any number
 * of *runs*, one a worker, share it; each has its own arena. The steps come
 * from one of two sets of ops that compute the same thing: plain C, which is
 * the reference, and oneDNN.
 *
 * A forward pass treats one photo. A batch is n photos, each in its own run,
 * that take turns: the result is independent of the batch by construction.
 *
 * Threads: a net is shared by many readers; a run is unshared. A forward pass
 * stays on the calling thread, whose OpenMP setting becomes one thread. */
#ifndef SOSIE_NN_NET_H
#define SOSIE_NN_NET_H

#include "nn/graph.h"
#include "sosie/precision.h"

struct sosie_net;
struct sosie_net_run;

/* The two sets of ops. */
struct sosie_ops;
extern const struct sosie_ops sosie_ops_plain;
extern const struct sosie_ops sosie_ops_onednn;

struct sosie_net_options {
    const struct sosie_ops *ops;
    enum sosie_precision precision; /* not AUTO */
    bool may_emulate; /* BF16 also where the CPU has no bfloat16: very slow,
                         for tests */
};

/* oneDNN, too, uses no instructions newer than AVX2. Before the first net, for
 * tests and comparisons. */
void sosie_onednn_limit_to_avx2(void);

/* Does this CPU multiply bfloat16? (Whether that is fast is another matter.) */
bool sosie_cpu_has_bf16(void);
/* In tiles? */
bool sosie_cpu_has_amx(void);

/* Are there QuantizeLinear nodes, so that INT8 means something? */
bool sosie_graph_is_quantized(const struct sosie_graph *graph);

/* Runs the passes over `graph` and makes it a net. The graph is taken over and
 * left empty, whatever happens; the data that its constants borrow may go once
 * this has returned.
 * Errors: REFUSED if it needs too much memory, oneDNN fails, or the precision
 * is not to be had (BF16 without the instructions, INT8 without quantised
 * nodes); NO_MEMORY. */
SOSIE_MUST_CHECK enum sosie_status
sosie_net_create(struct sosie_graph *graph,
                 const struct sosie_net_options *options,
                 struct sosie_net **out, struct sosie_error *err);
/* No run may be left. NULL is allowed. */
void sosie_net_destroy(struct sosie_net *net);

/* The graph as it is run; its constants have no data any more. */
const struct sosie_graph *sosie_net_graph(const struct sosie_net *net);

/* Where element (i0, i1, ...) of input k stands: at i0 * strides[0] + ... */
void sosie_net_input_strides(const struct sosie_net *net, size_t k,
                             size_t strides[SOSIE_MAX_RANK]);

/* What one step of a forward pass is. */
struct sosie_net_step_info {
    const char *node;           /* the name of the node it is (part) of */
    enum sosie_op op;           /* of that node */
    const char *implementation; /* "plain", or as oneDNN names it */
    size_t index;               /* of that node in sosie_net_graph */
};
size_t sosie_net_n_steps(const struct sosie_net *net);
struct sosie_net_step_info sosie_net_step_info(const struct sosie_net *net,
                                               size_t step);

/* Bytes of a run's arena, and of the weights all runs share. */
size_t sosie_net_arena_size(const struct sosie_net *net);
size_t sosie_net_parameters_size(const struct sosie_net *net);

SOSIE_MUST_CHECK enum sosie_status
sosie_net_run_create(const struct sosie_net *net, struct sosie_net_run **out,
                     struct sosie_error *err);
void sosie_net_run_destroy(struct sosie_net_run *run);

/* Input k's memory, to be filled (see sosie_net_input_strides) before each
 * forward pass, which may overwrite it. Borrowed from the run. */
float *sosie_net_run_input(struct sosie_net_run *run, size_t k);

/* One forward pass. Only the outputs in `wanted` are computed: bit k stands for
 * output k, and bit 31 for output 31 and all after it. */
SOSIE_MUST_CHECK enum sosie_status
sosie_net_run_forward(struct sosie_net_run *run, unsigned wanted,
                      struct sosie_error *err);

/* The same, step by step; ms[i] is what step i took. */
SOSIE_MUST_CHECK enum sosie_status
sosie_net_run_profile(struct sosie_net_run *run, unsigned wanted, double *ms,
                      struct sosie_error *err);

/* The same for n photos, a run each, all of the same net and of n different
 * runs. Late steps are done for one photo after the other, so that their
 * weights are read once; results are bit-identical to those of single passes.
 */
SOSIE_MUST_CHECK enum sosie_status
sosie_net_run_batch(struct sosie_net_run *const *runs, size_t n,
                    unsigned wanted, struct sosie_error *err);

/* Output k, dense and row-major; valid until the next forward pass. */
const float *sosie_net_run_output(const struct sosie_net_run *run, size_t k);

#endif
