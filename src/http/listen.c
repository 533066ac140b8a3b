/* listen.c: from "127.0.0.1:5000" to a socket that listens. */
#include "http/http.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 511 };

/* Splits "host:port" or "[host]:port" at its last colon. */
static bool split(const char *address, char host[256], char port[8])
{
    const char *colon = strrchr(address, ':');
    size_t size = colon ? (size_t)(colon - address) : 0;
    if (size == 0 || size >= 256 || strlen(colon + 1) >= 8)
        return false;
    if (address[0] == '[' && address[size - 1] == ']') {
        address++;
        size -= 2;
    } else if (memchr(address, ':', size)) {
        return false; /* an IPv6 address without its brackets */
    }
    memcpy(host, address, size);
    host[size] = '\0';
    strcpy(port, colon + 1);
    return size > 0 && *port && port[strspn(port, "0123456789")] == '\0' &&
           strtoul(port, NULL, 10) <= UINT16_MAX;
}

static bool bind_and_listen(int fd, const struct addrinfo *info)
{
    int on = 1;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           bind(fd, info->ai_addr, info->ai_addrlen) == 0 &&
           listen(fd, BACKLOG) == 0;
}

static uint16_t port_of(int fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof(bound);
    if (getsockname(fd, (struct sockaddr *)&bound, &size))
        return 0;
    return ntohs(bound.ss_family == AF_INET6
                     ? ((struct sockaddr_in6 *)&bound)->sin6_port
                     : ((struct sockaddr_in *)&bound)->sin_port);
}

enum sosie_status sosie_http_listen(const char *address, int *out,
                                    uint16_t *port, struct sosie_error *err)
{
    char host[256], service[8];
    const struct addrinfo wanted = {.ai_family = AF_UNSPEC,
                                    .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *info = NULL;
    int fd = -1;

    if (!split(address, host, service))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "\"%.200s\" is no address to listen on, expected one "
                          "such as 127.0.0.1:5000 or [::1]:5000",
                          address);
    if (getaddrinfo(host, service, &wanted, &info))
        return sosie_fail(err, SOSIE_BAD_INPUT,
                          "\"%.200s\" is no address of this machine", address);
    fd = socket(info->ai_family,
                info->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
                info->ai_protocol);
    if (fd < 0 || !bind_and_listen(fd, info)) {
        enum sosie_status st =
            sosie_fail_errno(err, SOSIE_IO, "listening on %.200s", address);
        if (fd >= 0)
            close(fd);
        freeaddrinfo(info);
        return st;
    }
    freeaddrinfo(info);
    *port = port_of(fd);
    *out = fd;
    return SOSIE_OK;
}
