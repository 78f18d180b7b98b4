/* The limit: a server that does nothing but send() to every connection, one after another.
 *
 * It prints its port as a line of JSON, and obeys lines on stdin: `push PER SIZE FIRST COUNT` sends PER frames
 * of SIZE bytes, joined, with one send() for each of COUNT connections, counted from 0 as they came. A frame
 * holds a mark, as load.c reads it. A connection is told at once that it is upgraded, whatever it asks. */
#define _GNU_SOURCE
#include "clock.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_CONNECTIONS 65536
#define MOST_BYTES 1048576
#define FEWEST_BYTES 126 /* of a text with a length of 16 bits */

static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
static int connections[MOST_CONNECTIONS];
static int count;
static char frames[MOST_BYTES];

static void accept_all(int listener)
{
    int one = 1, connection;
    while (count < MOST_CONNECTIONS && (connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (send(connection, upgraded, sizeof upgraded - 1, MSG_NOSIGNAL) == sizeof upgraded - 1)
            connections[count++] = connection;
    }
}

static void write_frame(char *at, size_t size)
{
    char mark[18];
    snprintf(mark, sizeof mark, "%016lx^", (unsigned long)now());
    at[0] = (char)0x81;
    at[1] = 126;
    at[2] = (char)((size - 4) >> 8);
    at[3] = (char)(size - 4);
    memset(at + 4, '.', size - 4);
    memcpy(at + size - 17, mark, 17);
}

static void push(size_t per, size_t size, int first, int past)
{
    for (size_t each = 0; each < per; each++)
        write_frame(frames + each * size, size);
    for (int each = first; each < past; each++)
        if (send(connections[each], frames, per * size, MSG_NOSIGNAL) != (ssize_t)(per * size))
            exit(1);
}

static void obey(const char *command)
{
    size_t per, size;
    int first, some;
    if (sscanf(command, "push %zu %zu %d %d", &per, &size, &first, &some) != 4 || size < 4 + FEWEST_BYTES
        || size > 4 + UINT16_MAX || per * size > sizeof frames || first < 0 || first + some > count)
        exit(2);
    push(per, size, first, first + some);
}

int main(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 4096)
        || getsockname(listener, (struct sockaddr *)&address, &length))
        return 1;
    setlinebuf(stdout);
    printf("{\"port\": %d}\n", ntohs(address.sin_port));

    struct pollfd watched[] = {{.fd = listener, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
    char commands[4096];
    while (poll(watched, 2, -1) >= 0) {
        if (watched[0].revents)
            accept_all(listener);
        if (watched[1].revents) {
            /* Commands are short and come one at a time; a read holds whole lines. */
            ssize_t got = read(STDIN_FILENO, commands, sizeof commands - 1);
            if (got <= 0)
                return 0;
            commands[got] = '\0';
            for (char *line = strtok(commands, "\n"); line; line = strtok(NULL, "\n"))
                obey(line);
        }
    }
    return 1;
}
