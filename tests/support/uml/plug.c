/* A guest's network card: two taps, joined by this process as a hypervisor joins a tap to its guest. One is moved to the host's namespace and
 * the other into the guest's; both stay open here. */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int opened(const char *name) {
    struct ifreq wish = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int tap = open("/dev/net/tun", O_RDWR);
    strncpy(wish.ifr_name, name, IFNAMSIZ - 1);
    return tap < 0 || ioctl(tap, TUNSETIFF, &wish) < 0 ? -1 : tap;
}

int main(int count, char **names) {
    struct pollfd ends[2];
    unsigned char frame[65536];
    if (count != 3) return 2;
    for (int i = 0; i < 2; i++) {
        ends[i] = (struct pollfd){.fd = opened(names[1 + i]), .events = POLLIN};
        if (ends[i].fd < 0) return 1;
    }
    while (poll(ends, 2, -1) > 0)
        for (int i = 0; i < 2; i++) {
            /* A tap that is down takes and gives nothing: that ends with a frame lost, as on a wire. */
            ssize_t length = ends[i].revents & POLLIN ? read(ends[i].fd, frame, sizeof frame) : 0;
            if (length > 0 && write(ends[1 - i].fd, frame, length) < 0) continue;
            if (ends[i].revents & (POLLERR | POLLHUP)) usleep(10000);
        }
    return 0;
}
