/* The limit of the netlink path: what the same answer costs in C.
 *
 * Counts CLOSE_WAIT sockets per local port, and how many of them belong to no process (inode 0, not
 * accepted yet), by one legacy TCPDIAG_GETSOCK dump of both address families with a kernel-side state mask.
 *
 * It is driven over stdin so that its start does not count: each line "N" makes it look N times and answer
 * with one line: CPU microseconds (user + system) of those N looks, then of the last one: rows, rows without an
 * owner, ports, and for listeners the sum of their queues and drops.
 * With the argument "listen" it dumps LISTEN sockets with INET_DIAG_SKMEMINFO and sums queue and drops.
 */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLOSE_WAIT = 8, LISTEN = 10, BUFFER = 65536 };

static unsigned total[65536], unowned[65536], used[65536];
static unsigned ports;
static unsigned long queued, drops;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void ask(int fd, unsigned sequence, int listening)
{
    struct {
        struct nlmsghdr header;
        struct inet_diag_req request;
    } message = {
        .header = {.nlmsg_len = sizeof message, .nlmsg_type = TCPDIAG_GETSOCK, .nlmsg_seq = sequence,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
        .request = {.idiag_states = 1u << (listening ? LISTEN : CLOSE_WAIT),
                    .idiag_ext = listening ? 1 << (INET_DIAG_SKMEMINFO - 1) : 0},
    };
    if (send(fd, &message, sizeof message, 0) != sizeof message)
        fail("send");
}

static void add_listener(struct nlmsghdr *header, struct inet_diag_msg *row)
{
    int left = header->nlmsg_len - NLMSG_LENGTH(sizeof *row);
    queued += row->idiag_rqueue;
    for (struct rtattr *attr = (struct rtattr *)(row + 1); RTA_OK(attr, left); attr = RTA_NEXT(attr, left))
        if (attr->rta_type == INET_DIAG_SKMEMINFO && RTA_PAYLOAD(attr) > SK_MEMINFO_DROPS * sizeof(__u32))
            drops += ((__u32 *)RTA_DATA(attr))[SK_MEMINFO_DROPS];
}

/* One whole look. The counters are per port; every row is checked as ss would check it. */
static void look(int fd, unsigned sequence, int listening)
{
    static char buffer[BUFFER];
    while (ports > 0) {
        unsigned port = used[--ports];
        total[port] = unowned[port] = 0;
    }
    queued = drops = 0;
    ask(fd, sequence, listening);
    for (;;) {
        int left = recv(fd, buffer, sizeof buffer, 0);
        if (left < 0)
            fail("recv");
        for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, left);
             header = NLMSG_NEXT(header, left)) {
            if (header->nlmsg_type == NLMSG_DONE)
                return;
            if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_seq != sequence ||
                header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg))) {
                fprintf(stderr, "unexpected message type %u\n", header->nlmsg_type);
                exit(1);
            }
            struct inet_diag_msg *row = NLMSG_DATA(header);
            unsigned port = ntohs(row->id.idiag_sport);
            if (total[port]++ == 0)
                used[ports++] = port;
            unowned[port] += row->idiag_inode == 0;
            if (listening)
                add_listener(header, row);
        }
    }
}

static long cpu_microseconds(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000L + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
}

int main(int count, char **arguments)
{
    int listening = count > 1 && strcmp(arguments[1], "listen") == 0;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    unsigned sequence = 0;
    char line[32];
    if (fd < 0)
        fail("socket");
    while (fgets(line, sizeof line, stdin)) {
        long before = cpu_microseconds();
        unsigned long rows = 0, without_owner = 0;
        for (int left = atoi(line); left > 0; left--)
            look(fd, ++sequence, listening);
        long spent = cpu_microseconds() - before;
        for (unsigned index = 0; index < ports; index++) {
            rows += total[used[index]];
            without_owner += unowned[used[index]];
        }
        printf("%ld %lu %lu %u %lu %lu\n", spent, rows, without_owner, ports, queued, drops);
        fflush(stdout);
    }
    return 0;
}
