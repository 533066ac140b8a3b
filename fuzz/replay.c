/* replay.c: runs a fuzz target over files, without a fuzzer.
 *
 *   replay_<target> FILE_OR_FOLDER...
 *
 * Linked with one target, this replays its corpus in the ordinary tests: what a
 * fuzzer once found stays found. Folders are read one level deep. Prints a line
 * of TAP. */
#include "base/file.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
    struct sosie_error err;
    unsigned char *bytes;
    size_t size;
    if (sosie_file_read(path, (size_t)64 << 20, &bytes, &size, &err)) {
        fprintf(stderr, "replay: %s\n", err.text);
        return 1;
    }
    LLVMFuzzerTestOneInput(bytes, size);
    free(bytes);
    return 0;
}

static int replay_folder(const char *path, size_t *n)
{
    DIR *folder = opendir(path);
    struct dirent *entry;
    int failed = folder == NULL;
    while (folder && (entry = readdir(folder))) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        if (sosie_path_kind(file) != SOSIE_PATH_FILE)
            continue;
        failed |= replay_file(file);
        ++*n;
    }
    if (folder)
        closedir(folder);
    return failed;
}

int main(int argc, char **argv)
{
    size_t n = 0;
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        if (sosie_path_kind(argv[i]) == SOSIE_PATH_FOLDER) {
            failed |= replay_folder(argv[i], &n);
        } else {
            failed |= replay_file(argv[i]);
            n++;
        }
    }
    printf("%s 1 - %zu files replayed\n", failed || !n ? "not ok" : "ok", n);
    return failed || !n;
}
