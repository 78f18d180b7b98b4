/* The limit: a server that does nothing but send() to every connection, one after another.
 *
 * It takes the same commands as serving.py. A connection is greeted with one byte. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_CONNECTIONS 65536
#define MOST_BYTES 65539 /* with a length of 16 bits */

static int connections[MOST_CONNECTIONS];
static int count;
static char frame[MOST_BYTES];

static double seconds(struct timeval time) { return time.tv_sec + time.tv_usec / 1e6; }

static void accept_all(int listener)
{
    int one = 1, connection;
    while (count < MOST_CONNECTIONS && (connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (send(connection, ".", 1, MSG_NOSIGNAL) == 1)
            connections[count++] = connection;
    }
}

static void push(int times, size_t size)
{
    frame[0] = (char)0x81;
    frame[1] = 126;
    frame[2] = (char)((size - 4) >> 8);
    frame[3] = (char)(size - 4);
    for (int time = 0; time < times; time++)
        for (int each = 0; each < count; each++)
            if (send(connections[each], frame, size, MSG_NOSIGNAL) != (ssize_t)size)
                exit(1);
}

static void obey(char *command)
{
    int times;
    size_t size;
    if (sscanf(command, "push %d %zu", &times, &size) == 2 && size >= 130 && size <= sizeof frame) {
        push(times, size);
    } else if (strcmp(command, "usage") == 0) {
        struct rusage used;
        getrusage(RUSAGE_SELF, &used);
        printf("{\"user\": %.6f, \"system\": %.6f, \"memory\": 0, \"peak\": 0, \"connections\": %d}\n",
               seconds(used.ru_utime), seconds(used.ru_stime), count);
    }
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
    memset(frame, '.', sizeof frame);
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
