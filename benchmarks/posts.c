/* Requests to an HTTP API, over connections that are kept: `posts PORT CONNECTIONS SECONDS FILE`.
 *
 * Each connection sends the next request of FILE when the last one is answered, until the time is up or
 * there are no more; one that the server closes after its answer is opened again, in the time of the next. In FILE each request has its size before it, four bytes, the lowest first. One line of
 * JSON says how many were answered with 200, how many not, and how long they took. */
#define _GNU_SOURCE
#include "clock.h"
#include "histogram.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_CONNECTIONS 1024
#define MOST_ANSWER 65536

struct connection {
    int socket; /* 0: none */
    int64_t sent;
    char answer[MOST_ANSWER];
    size_t got;
};

static struct connection connections[MOST_CONNECTIONS];
static const char *next, *end;
static uint64_t answered, refused;
static int port, poller, busy;

static _Noreturn void fail(const char *why)
{
    printf("{\"error\": \"%s\"}\n", why);
    exit(1);
}

static void read_requests(const char *path)
{
    int file = open(path, O_RDONLY);
    struct stat about;
    if (file < 0 || fstat(file, &about) || !about.st_size)
        fail("there are no requests");
    next = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file, 0);
    end = next + about.st_size;
}

static void open_one(struct connection *connection)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    int one = 1;
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address))
        fail("a connection was refused");
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    epoll_ctl(poller, EPOLL_CTL_ADD, connection->socket, &event);
}

static void ask(struct connection *connection)
{
    const unsigned char *size = (const unsigned char *)next;
    size_t length = size[0] | size[1] << 8 | size[2] << 16 | (size_t)size[3] << 24;
    connection->got = 0;
    connection->sent = now();
    if (!connection->socket)
        open_one(connection);
    if (send(connection->socket, next + 4, length, MSG_NOSIGNAL) != (ssize_t)length)
        fail("a request could not be sent");
    next += 4 + length;
    busy++;
}

/* Whether the answer is whole; then it is counted. */
static bool hear(struct connection *connection)
{
    ssize_t got = recv(connection->socket, connection->answer + connection->got,
                       MOST_ANSWER - 1 - connection->got, 0);
    if (got <= 0)
        fail("the server has hung up");
    connection->got += (size_t)got;
    connection->answer[connection->got] = '\0';
    char *body = strstr(connection->answer, "\r\n\r\n");
    if (!body)
        return false;
    char *length = strcasestr(connection->answer, "\r\nContent-Length:");
    bool chunked = !length || length > body;
    if (chunked ? !strstr(body, "\r\n0\r\n\r\n")
        : connection->got < (size_t)(body + 4 - connection->answer) + strtoul(length + 17, NULL, 10))
        return false;
    measure(now() - connection->sent);
    char *close_after = strcasestr(connection->answer, "\r\nConnection: close\r\n");
    if (close_after && close_after < body) {
        close(connection->socket);
        connection->socket = 0;
    }
    *(strncmp(connection->answer + 8, " 200", 4) ? &refused : &answered) += 1;
    busy--;
    return true;
}

int main(int argc, char **argv)
{
    if (argc != 5 || atoi(argv[2]) > MOST_CONNECTIONS)
        fail("give PORT CONNECTIONS SECONDS FILE");
    read_requests(argv[4]);
    port = atoi(argv[1]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int count = atoi(argv[2]);
    for (int each = 0; each < count; each++)
        open_one(&connections[each]);
    int64_t begun = now(), deadline = begun + (int64_t)(atof(argv[3]) * 1e9);
    for (int each = 0; each < count && next < end; each++)
        ask(&connections[each]);
    while (busy) {
        struct epoll_event events[64];
        int ready = epoll_wait(poller, events, 64, 10000);
        if (!ready)
            fail("an answer has not come within 10 s");
        for (int each = 0; each < ready; each++)
            if (hear(events[each].data.ptr) && now() < deadline && next < end)
                ask(events[each].data.ptr);
    }
    printf("{\"answered\": %lu, \"refused\": %lu, \"seconds\": %.6f, \"p50\": %ld, \"p99\": %ld}\n",
           answered, refused, (now() - begun) / 1e9, percentile(0.5), percentile(0.99));
}
