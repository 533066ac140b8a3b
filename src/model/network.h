/* network.h: an ONNX file made ready to run, whatever it is of: in the
 * precision that was asked for, or in the one that is fastest here.
 *
 *   sosie_network_read -> _add_output (or its user picks them) -> _make -> a
 * net
 *
 * Unshared: one thread at a time. */
#ifndef SOSIE_MODEL_NETWORK_H
#define SOSIE_MODEL_NETWORK_H

#include "base/file.h"
#include "base/hash.h"
#include "model/onnx.h"
#include "nn/net.h"

struct sosie_network {
    struct sosie_onnx onnx;           /* its graph is empty after _make */
    struct sosie_digest digest;       /* of the file's bytes */
    struct sosie_net_options options; /* AUTO while it is to be timed */
    const void *bytes;                /* the file's, until _make or _own */
    size_t size;
    struct sosie_file_view view; /* where they are, if it was opened here */
    char *folder;                /* that the file is in; NULL: not known */
};

/* Reads a file. options->precision may be AUTO. Whoever wants to write the file
 * waits until _make or _own, so these should come soon.
 * Errors: as sosie_onnx_read, and those of reading a file. */
SOSIE_MUST_CHECK enum sosie_status
sosie_network_read(const char *path, const struct sosie_net_options *options,
                   struct sosie_network *network, struct sosie_error *err);
/* The same from bytes in memory, which must stay until _make has returned.
 * Weights in other files are then refused. */
SOSIE_MUST_CHECK enum sosie_status sosie_network_read_bytes(
    const void *bytes, size_t size, const struct sosie_net_options *options,
    struct sosie_network *network, struct sosie_error *err);

/* Makes output i of the file the graph's next output. */
SOSIE_MUST_CHECK enum sosie_status
sosie_network_add_output(struct sosie_network *network, size_t i,
                         struct sosie_error *err);

/* Makes the graph's constants its own, to be kept for longer. Only for a
 * precision that was asked for. */
SOSIE_MUST_CHECK enum sosie_status
sosie_network_own(struct sosie_network *network, struct sosie_error *err);

/* The net of the graph, whose outputs are picked; options.precision then says
 * in which precision. Errors: as sosie_net_create. */
SOSIE_MUST_CHECK enum sosie_status
sosie_network_make(struct sosie_network *network, struct sosie_net **net,
                   struct sosie_error *err);

/* An all-zero one is allowed. */
void sosie_network_release(struct sosie_network *network);

/* Fills input k of a run from a dense, row-major tensor of its shape; x NULL:
 * with numbers in -1..1, to see how long a pass takes. */
void sosie_network_fill(const struct sosie_net *net, struct sosie_net_run *run,
                        size_t k, const float *x);

#endif
