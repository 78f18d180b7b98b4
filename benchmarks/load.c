/* Many WebSocket clients in one thread, which count what they get: frames by their headers, and marks.
 *
 * A mark is 16 hexadecimal digits and a `^`, which occurs nowhere else: the time when an event was sent.
 * Commands come as lines on stdin; each is answered with a line of JSON once it is done:
 *
 *   open PORT COUNT IN_FLIGHT RECEIVE_BUFFER FILE   connect; FILE: a line to send, a line to expect, ...
 *   join IN_FLIGHT FILE                             FILE: what to expect, then what each connection sends
 *   wait frames|marks COUNT SECONDS                 until so many have come, all in all
 *   loop SECONDS EVERY FILE                         what each connection sends, and again for each frame;
 *                                                   every EVERYth begins
 *   stall COUNT                                     the first COUNT connections stop reading
 *   ids                                             the socket id of each connection
 *   report                                          what came, how late; then count from 0 again
 *
 * Lines of a FILE are in hexadecimal. The first that is sent is the request, answered with 101; what is
 * expected are bytes somewhere in a frame. RECEIVE_BUFFER is that of the kernel, 0 leaves it alone. */
#define _GNU_SOURCE
#include "clock.h"
#include "histogram.h"
#include "marks.h"
#include "script.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_CONNECTIONS 65536
#define HEAD 14
#define MOST_TEXT 262144
#define OPEN_SECONDS 120.0

struct connection {
    int socket, step;          /* step: which expectation of `script` is next; past the last it is open */
    bool upgraded;
    uint8_t kind;              /* of the frame: 1 and 2 are messages, 8 closes, 9 and 10 are a ping and a pong */
    uint8_t head[HEAD], headed; /* the bytes of a frame's head so far */
    struct cut cut;
    uint64_t left;             /* of the frame's payload */
    uint64_t frames;
    int64_t sent;
    char id[32];
    char *text;                /* while something is expected: the bytes of this frame */
    size_t texted;
};

static struct connection connections[MOST_CONNECTIONS];
static int count, opening, wanted, port, receive_buffer, in_flight;
static int steps; /* of the script: send, expect, send, expect ... or expect, send, send ... */
static uint64_t frames, received;
static int poller;
static char buffer[MOST_TEXT];

static enum { IDLE, OPENING, JOINING, WAITING_FRAMES, WAITING_MARKS, LOOPING } task;
static int64_t begun, deadline;
static uint64_t target;

static void say(struct connection *connection, struct bytes bytes)
{
    connection->sent = now();
    if (bytes.size && send(connection->socket, bytes.at, bytes.size, MSG_NOSIGNAL) != (ssize_t)bytes.size)
        fail("a client could not send");
}

static void watch(struct connection *connection, int what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)(connection - connections) + 1};
    epoll_ctl(poller, what, connection->socket, &event);
}

static void expect(struct connection *connection)
{
    connection->text = malloc(MOST_TEXT);
    connection->texted = 0;
}

static void open_one(void)
{
    struct connection *connection = &connections[count++];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    memset(connection, 0, sizeof *connection);
    connection->socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (receive_buffer)
        setsockopt(connection->socket, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    if (connect(connection->socket, (struct sockaddr *)&address, sizeof address))
        fail("a client could not connect");
    setsockopt(connection->socket, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(connection->socket, F_SETFL, O_NONBLOCK);
    watch(connection, EPOLL_CTL_ADD);
    expect(connection);
    say(connection, script[0]);
}

static void join_one(void)
{
    struct connection *connection = &connections[wanted++];
    connection->step = 0;
    expect(connection);
    say(connection, script[1 + (wanted - 1) % (lines - 1)]);
}

/* What was expected has come: go on with the script, or with the next connection. */
static void step(struct connection *connection)
{
    connection->texted = 0;
    if (++connection->step < steps) {
        say(connection, script[2 * connection->step]);
        if (!script[2 * connection->step + 1].size)
            step(connection);
        return;
    }
    free(connection->text);
    connection->text = NULL;
    opening--;
    if (task == OPENING && count < wanted)
        opening++, open_one();
    else if (task == JOINING && wanted < count)
        opening++, join_one();
}

static void see_payload(struct connection *connection, const char *from, size_t size)
{
    if (connection->text) {
        if (connection->texted + size > MOST_TEXT)
            fail("a frame is too large");
        memcpy(connection->text + connection->texted, from, size);
        connection->texted += size;
        return;
    }
    see_marks(&connection->cut, from, size, connection->left == size);
}

static _Noreturn void fail_closed(const struct connection *connection)
{
    char why[256] = "the server has closed a connection without a word";
    if (connection->texted >= 2)
        snprintf(why, sizeof why, "the server has closed a connection: %d %.*s",
                 (uint8_t)connection->text[0] << 8 | (uint8_t)connection->text[1],
                 (int)connection->texted - 2, connection->text + 2);
    fail(why);
}

static void see_frame(struct connection *connection)
{
    if (connection->kind == 8)
        fail_closed(connection);
    if (connection->kind > 8) {
        connection->texted = 0;
        return;
    }
    if (connection->text) {
        struct bytes expected = script[task == JOINING ? 0 : 2 * connection->step + 1];
        char *id = memmem(connection->text, connection->texted, "socket_id\\\":\\\"", 14);
        if (id)
            snprintf(connection->id, sizeof connection->id, "%.*s", (int)strcspn(id + 14, "\\"), id + 14);
        if (memmem(connection->text, connection->texted, expected.at, expected.size))
            step(connection);
        connection->texted = 0;
        return;
    }
    frames++;
    connection->frames++;
    if (task == LOOPING) {
        measure(now() - connection->sent);
        say(connection, script[(connection - connections) % lines]);
    }
}

static size_t head_size(const struct connection *connection)
{
    int length = connection->headed < 2 ? 0 : connection->head[1];
    return length == 127 ? 10 : length == 126 ? 4 : 2;
}

static void see(struct connection *connection, const char *from, size_t size)
{
    while (size) {
        if (!connection->left) {
            connection->head[connection->headed++] = (uint8_t)*from++;
            size--;
            if (connection->headed < head_size(connection))
                continue;
            for (size_t each = 2; each < connection->headed; each++)
                connection->left = connection->left << 8 | connection->head[each];
            if (connection->headed == 2)
                connection->left = connection->head[1];
            connection->kind = connection->head[0] & 15;
            connection->headed = 0;
            if (connection->kind == 8)
                expect(connection);
        }
        size_t taken = size < connection->left ? size : connection->left;
        see_payload(connection, from, taken);
        from += taken, size -= taken;
        if (!(connection->left -= taken))
            see_frame(connection);
    }
}

static void see_answer(struct connection *connection, const char *from, size_t size)
{
    see_payload(connection, from, size);
    char *end = memmem(connection->text, connection->texted, "\r\n\r\n", 4);
    if (!end)
        return;
    if (memcmp(connection->text, "HTTP/1.1 101", 12))
        fail("the server has not answered with 101");
    size_t rest = connection->texted - (size_t)(end + 4 - connection->text);
    connection->upgraded = true;
    connection->texted = 0;
    if (!script[1].size)
        step(connection);
    see(connection, from + size - rest, rest);
}

static void hear(struct connection *connection)
{
    ssize_t got = recv(connection->socket, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0)
        fail("the server has hung up on a client");
    received += (size_t)got;
    (connection->upgraded ? see : see_answer)(connection, buffer, (size_t)got);
}

static void report(void)
{
    uint64_t fewest = count ? UINT64_MAX : 0, most = 0;
    for (struct connection *each = connections; each < connections + count; each++) {
        fewest = each->frames < fewest ? each->frames : fewest;
        most = each->frames > most ? each->frames : most;
        each->frames = 0;
    }
    printf("{\"frames\": %lu, \"marks\": %lu, \"bytes\": %lu, \"fewest\": %lu, \"most\": %lu, "
           "\"p50\": %ld, \"p99\": %ld, \"longest\": %ld}\n",
           frames, marks, received, fewest, most, percentile(0.5), percentile(0.99), longest / 1000);
    frames = marks = received = 0;
    forget();
}

static void begin(int what, double seconds)
{
    task = what;
    begun = now();
    deadline = begun + (int64_t)(seconds * 1e9);
}

static void end_when_done(void)
{
    bool late = task != IDLE && now() >= deadline;
    if (task == OPENING || task == JOINING ? opening == 0
        : task == WAITING_FRAMES ? frames >= target
        : task == WAITING_MARKS ? marks >= target
        : task == LOOPING ? late : false) {
        task = IDLE;
        printf("{\"seconds\": %.6f}\n", (now() - begun) / 1e9);
    } else if (late) {
        fail("the server has sent too little in time");
    }
}

static void obey(char *command)
{
    char path[4096], what[16];
    double seconds;
    int more, every;
    if (sscanf(command, "open %d %d %d %d %4095s", &port, &more, &in_flight, &receive_buffer, path) == 5
        && count + more <= MOST_CONNECTIONS) {
        read_script(path);
        steps = lines / 2;
        wanted = count + more;
        begin(OPENING, OPEN_SECONDS);
        while (opening < in_flight && count < wanted)
            opening++, open_one();
    } else if (sscanf(command, "join %d %4095s", &in_flight, path) == 2) {
        read_script(path);
        steps = 1;
        wanted = 0;
        begin(JOINING, OPEN_SECONDS);
        while (opening < in_flight && wanted < count)
            opening++, join_one();
    } else if (sscanf(command, "wait %15s %lu %lf", what, &target, &seconds) == 3) {
        begin(*what == 'f' ? WAITING_FRAMES : WAITING_MARKS, seconds);
    } else if (sscanf(command, "loop %lf %d %4095s", &seconds, &every, path) == 3) {
        read_script(path);
        begin(LOOPING, seconds);
        for (int each = 0; each < count; each++) {
            connections[each].sent = begun;
            if (each % every == 0)
                say(&connections[each], script[each % lines]);
        }
    } else if (sscanf(command, "stall %d", &more) == 1 && more <= count) {
        for (int each = 0; each < more; each++)
            watch(&connections[each], EPOLL_CTL_DEL);
        printf("{}\n");
    } else if (!strcmp(command, "ids")) {
        printf("{\"ids\": [");
        for (int each = 0; each < count; each++)
            printf("%s\"%s\"", each ? ", " : "", connections[each].id);
        printf("]}\n");
    } else if (!strcmp(command, "report")) {
        report();
    } else {
        fail("the command is unknown");
    }
}

int main(void)
{
    struct epoll_event events[1024], of_commands = {.events = EPOLLIN, .data.u32 = 0};
    char commands[8192];
    setlinebuf(stdout);
    poller = epoll_create1(EPOLL_CLOEXEC);
    epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &of_commands);
    for (;;) {
        int ready = epoll_wait(poller, events, 1024, task == IDLE ? -1 : 50);
        for (int each = 0; each < ready; each++) {
            if (events[each].data.u32) {
                hear(&connections[events[each].data.u32 - 1]);
                continue;
            }
            /* Commands are short and come one at a time; a read holds whole lines. */
            ssize_t got = read(STDIN_FILENO, commands, sizeof commands - 1);
            if (got <= 0)
                return 0;
            commands[got] = '\0';
            for (char *line = strtok(commands, "\n"); line; line = strtok(NULL, "\n"))
                obey(line);
        }
        end_when_done();
    }
}
