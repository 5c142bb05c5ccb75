"""A learning Ethernet switch between TAP devices that live in different network namespaces.

The lab uses it where the kernel has no netem. Each port has a one-way delay, jitter and loss, applied once when a frame leaves its
sender and once when it reaches its receiver. Loss is seeded, so a run can be repeated.

    switch.py FILE

FILE holds a line a port: NAMESPACE INTERFACE DELAY_MS JITTER_MS LOSS_PERCENT. It is read again at SIGHUP; the ports stay
the same, their settings may change. The word `ready` on standard output says that all ports are open.
"""

import ctypes
import fcntl
import heapq
import os
import random
import selectors
import signal
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000


class Port:
    """One interface, and what its link does to frames."""

    def __init__(self, namespace, interface):
        self.namespace, self.interface, self.fd = namespace, interface, None

    def open(self, libc):
        here = os.open("/run/netns/" + self.namespace, os.O_RDONLY)
        if libc.setns(here, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns " + self.namespace)
        os.close(here)
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", self.interface.encode(), IFF_TAP | IFF_NO_PI))

    def cross(self, chance, at):
        """When a frame is through this link; None if it is lost."""
        if self.loss and chance.random() < self.loss:
            return None
        return at + self.delay + (chance.random() * self.jitter if self.jitter else 0)


def main(path):
    ports, chance = {}, random.Random(1)

    def read_settings(*_):
        with open(path, encoding="ascii") as settings:
            for line in settings:
                namespace, interface, delay, jitter, loss = line.split()
                port = ports.setdefault(namespace, Port(namespace, interface))
                port.delay, port.jitter, port.loss = float(delay) / 1e3, float(jitter) / 1e3, float(loss) / 100

    read_settings()
    signal.signal(signal.SIGHUP, read_settings)
    libc = ctypes.CDLL(None, use_errno=True)
    selector = selectors.DefaultSelector()
    for port in ports.values():
        port.open(libc)
        selector.register(port.fd, selectors.EVENT_READ, port)
    print("ready", flush=True)

    table, queue, number = {}, [], 0
    while True:
        now = time.monotonic()
        while queue and queue[0][0] <= now:
            _, _, port, frame = heapq.heappop(queue)
            try:
                os.write(port.fd, frame)
            except OSError:
                pass  # the interface is down: the frame is lost, as on a cable
        wait = max(0, queue[0][0] - time.monotonic()) if queue else None
        for key, _ in selector.select(wait):
            source = key.data
            for _ in range(256):
                try:
                    frame = os.read(source.fd, 65536)
                except OSError:
                    break
                table[frame[6:12]] = source
                left = source.cross(chance, time.monotonic())
                if left is None:
                    continue
                known = table.get(frame[0:6])
                for port in [known] if known else list(ports.values()):
                    arrived = port.cross(chance, left) if port is not source else None
                    if arrived is not None:
                        number += 1
                        heapq.heappush(queue, (arrived, number, port, frame))


main(sys.argv[1])
