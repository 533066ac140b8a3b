/* cmd_model.c: `sosie model <command>`: the table of its commands, and what
 * they share. */
#include "cli/cli.h"
#include "kernels/kernels.h"
#include "nn/net.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    cli_command *run;
    const char *arguments, *summary;
} commands[] = {
    {"info", cli_model_info, "FILE",
     "what a network is, and where its time "
     "goes"},
    {"run", cli_model_run, "FILE --input X.npy --output Y.npy",
     "run it on raw tensors"},
    {"quantize", cli_model_quantize, "MODEL PHOTOS... -o OUT.onnx",
     "write it in 8 bits, and measure the loss"},
};
enum { N_COMMANDS = sizeof(commands) / sizeof(*commands) };

bool cli_precision(const char *command, const char *text,
                   enum sosie_precision *precision)
{
    struct sosie_error err;
    if (!sosie_precision_parse(text, precision, &err))
        return true;
    cli_usage(command, "--%s", err.text);
    return false;
}

bool cli_cpu(const char *command, const char *text,
             struct sosie_net_options *options)
{
    if (!strcmp(text, "c")) {
        options->ops = &sosie_ops_plain;
        sosie_kernels_limit(0);
    } else if (!strcmp(text, "avx2")) {
        sosie_kernels_limit(SOSIE_CPU_AVX2);
        sosie_onednn_limit_to_avx2();
    } else if (strcmp(text, "avx512") != 0) {
        cli_usage(command, "--cpu is \"%s\", expected c, avx2 or avx512", text);
        return false;
    }
    return true;
}

static int print_help(FILE *to)
{
    fputs("sosie model looks at networks, ONNX files of any kind.\n\n", to);
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(to, "  sosie model %s %s\n      %s\n", commands[i].name,
                commands[i].arguments, commands[i].summary);
    fputs("\n  sosie model COMMAND --help   options and examples\n", to);
    return to == stdout ? cli_finish_output() : EXIT_USAGE;
}

int cli_model(int argc, char **argv)
{
    if (argc < 2)
        return print_help(stderr);
    if (!strcmp(argv[1], "--help"))
        return print_help(stdout);
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name))
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "sosie model: unknown command \"%s\"\n", argv[1]);
    return print_help(stderr);
}
