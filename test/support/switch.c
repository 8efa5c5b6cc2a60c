// A switch between network namespaces, for kernels without tc's netem: it reads the packets of a tun device in each, and
// hands them on as late as the links would. A packet leaves its host after those before it at the link's rate, takes the
// link's delay, and enters the other host at the same rate.
//
//   switch DELAY_US MBITS NAMESPACE...   host i has the address 10.77.0.(i + 1) and the device net0; 0 MBITS is no limit
//
// Lines on standard input: "cut I" takes host I off the network, "join I" puts it back, "link DELAY_US MBITS" changes the links.
// The end of the input ends the switch.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { most_hosts = 16, largest_packet = 65536, prefix = 0x0a4d0000 };

typedef struct {
  int64_t due;      // ns
  uint64_t number;  // packets of one moment keep their order
  int to;
  int entered;  // the packet is at the other host's link
  int length;
  unsigned char *bytes;
} Packet;

static int64_t delay_ns;
static double ns_per_byte;
static int hosts;
static int device[most_hosts];
static int is_cut[most_hosts];
static int64_t out_free[most_hosts];  // when the link from the host is free
static int64_t in_free[most_hosts];

static Packet *heap;
static int count, room;
static uint64_t numbers;

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void fail(const char *what) {
  fprintf(stderr, "switch: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int is_before(const Packet *a, const Packet *b) {
  return a->due < b->due || (a->due == b->due && a->number < b->number);
}

static void push(Packet packet) {
  if (count == room) {
    room = room ? 2 * room : 1024;
    heap = realloc(heap, room * sizeof *heap);
    if (!heap) fail("memory");
  }
  packet.number = numbers++;
  int at = count++;
  for (; at > 0 && is_before(&packet, &heap[(at - 1) / 2]); at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
  heap[at] = packet;
}

static Packet pop(void) {
  const Packet first = heap[0];
  const Packet last = heap[--count];
  int at = 0;
  for (int child; (child = 2 * at + 1) < count; at = child) {
    if (child + 1 < count && is_before(&heap[child + 1], &heap[child])) child++;
    if (!is_before(&heap[child], &last)) break;
    heap[at] = heap[child];
  }
  heap[at] = last;
  return first;
}

static int open_device(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", name);
  const int space = open(path, O_RDONLY | O_CLOEXEC);
  if (space < 0 || setns(space, CLONE_NEWNET) < 0) fail(path);
  close(space);
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  struct ifreq request = {.ifr_flags = IFF_TUN | IFF_NO_PI};
  strcpy(request.ifr_name, "net0");
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) fail("/dev/net/tun");
  return fd;
}

/* Takes what the host has sent, at most some packets, so that due ones are not kept waiting. */
static void receive(int from) {
  static unsigned char buffer[largest_packet];
  for (int i = 0; i < 16; i++) {
    const int length = read(device[from], buffer, sizeof buffer);
    if (length < 20) return;
    const uint32_t to = (buffer[16] << 24 | buffer[17] << 16 | buffer[18] << 8 | buffer[19]) - prefix - 1;
    // Of IPv4 alone; the rest is the kernel's own chatter.
    if (buffer[0] >> 4 != 4 || to >= (uint32_t)hosts || is_cut[from]) continue;
    unsigned char *bytes = malloc(length);
    if (!bytes) fail("memory");
    memcpy(bytes, buffer, length);
    const int64_t begins = now() > out_free[from] ? now() : out_free[from];
    out_free[from] = begins + (int64_t)(ns_per_byte * length);
    push((Packet){.due = out_free[from] + delay_ns, .to = to, .length = length, .bytes = bytes});
  }
}

static void deliver(Packet packet) {
  if (!packet.entered) {
    // Bits of one sender come as fast as the link takes them; those of several wait for each other.
    const int64_t ends = in_free[packet.to] + (int64_t)(ns_per_byte * packet.length);
    in_free[packet.to] = ends > packet.due ? ends : packet.due;
    packet.entered = 1;
    packet.due = in_free[packet.to];
    if (packet.due > now()) {
      push(packet);
      return;
    }
  }
  if (!is_cut[packet.to] && write(device[packet.to], packet.bytes, packet.length) < 0 && errno != EIO && errno != EAGAIN)
    fail("write");
  free(packet.bytes);
}

static void set_link(double delay_us, double mbits) {
  delay_ns = (int64_t)(1000 * delay_us);
  ns_per_byte = mbits > 0 ? 8000 / mbits : 0;
}

static void obey(const char *line) {
  int host;
  double delay_us, mbits;
  if (sscanf(line, "cut %d", &host) == 1 && host >= 0 && host < hosts) is_cut[host] = 1;
  if (sscanf(line, "join %d", &host) == 1 && host >= 0 && host < hosts) is_cut[host] = 0;
  if (sscanf(line, "link %lf %lf", &delay_us, &mbits) == 2) set_link(delay_us, mbits);
}

/* Takes what has come of the input, and obeys its whole lines; false at its end. */
static int listen_to_input(void) {
  static char line[256];
  static size_t length;
  const ssize_t got = read(0, line + length, sizeof line - 1 - length);
  if (got <= 0) return 0;
  length += got;
  line[length] = 0;
  for (char *end; (end = strchr(line, '\n')); length = strlen(line)) {
    *end = 0;
    obey(line);
    memmove(line, end + 1, strlen(end + 1) + 1);
  }
  return 1;
}

int main(int argc, char **argv) {
  hosts = argc - 3;
  if (hosts < 1 || hosts > most_hosts) return 2;
  set_link(atof(argv[1]), atof(argv[2]));
  struct pollfd watched[most_hosts + 1];
  for (int i = 0; i < hosts; i++) {
    device[i] = open_device(argv[3 + i]);
    watched[i] = (struct pollfd){.fd = device[i], .events = POLLIN};
  }
  watched[hosts] = (struct pollfd){.fd = 0, .events = POLLIN};
  prctl(PR_SET_TIMERSLACK, 1);
  // A link does not wait for a processor; where it is not allowed to, it does.
  sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){.sched_priority = 1});
  puts("ready");
  fflush(stdout);
  for (;;) {
    const int64_t wait = count ? heap[0].due - now() : -1;
    const struct timespec time = {.tv_sec = wait / 1000000000, .tv_nsec = wait % 1000000000};
    const struct timespec none = {0};
    if (ppoll(watched, hosts + 1, count ? (wait > 0 ? &time : &none) : NULL, NULL) < 0 && errno != EINTR) fail("poll");
    if (watched[hosts].revents && !listen_to_input()) return 0;
    for (int i = 0; i < hosts; i++)
      if (watched[i].revents & POLLIN) receive(i);
    while (count && heap[0].due <= now()) deliver(pop());
  }
}
