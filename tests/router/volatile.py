#!/usr/bin/env python3
"""volatile.py IMAGE SOCKET: serves an image as a disk with a cache that forgets, to one client, over NBD.

What is written stays in memory until the client flushes it; only now and then a sector of it goes to the image before,
in no order. On SIGTERM, the power cut, the rest is lost, and its size said. The NBD protocol: fixed newstyle handshake
with NBD_OPT_GO, simple replies, reads, writes, flushes, and writes that are to be durable at once (FUA).
"""

import os
import random
import signal
import socket
import struct
import sys

SECTOR = 512
OPTION_REPLY, REQUEST, REPLY = 0x3E889045565A9, 0x25609513, 0x67446698
OPT_ABORT, OPT_GO = 2, 7
REP_ACK, REP_INFO, REP_UNSUPPORTED = 1, 3, 0x80000001
# Transmission flags: there are flags, flushes are known, FUA is known.
FLAGS = 1 | 4 | 8
READ, WRITE, DISCONNECT, FLUSH, FUA = 0, 1, 2, 3, 1
# So much of what is kept goes to the image with each write.
EVICTED = 0.02


class Disk:
    def __init__(self, path):
        self.image = os.open(path, os.O_RDWR)
        self.size = os.fstat(self.image).st_size
        self.cache, self.flushes = {}, 0

    def read(self, offset, length):
        data = bytearray(os.pread(self.image, length, offset))
        for at in range(0, length, SECTOR):
            kept = self.cache.get((offset + at) // SECTOR)
            if kept is not None:
                data[at:at + SECTOR] = kept
        return bytes(data)

    def write(self, offset, data):
        for at in range(0, len(data), SECTOR):
            self.cache[(offset + at) // SECTOR] = data[at:at + SECTOR]
        for sector in [sector for sector in self.cache if random.random() < EVICTED]:
            self.make_durable(sector)

    def flush(self):
        self.flushes += 1
        sectors = list(self.cache)
        random.shuffle(sectors)
        for sector in sectors:
            self.make_durable(sector)

    def make_durable(self, sector):
        os.pwrite(self.image, self.cache[sector], sector * SECTOR)
        del self.cache[sector]

    def cut(self, *_):
        print(f"  the stick had been flushed {self.flushes} times, and has lost {len(self.cache)} sectors", flush=True)
        os._exit(0)


def main():
    disk = Disk(sys.argv[1])
    signal.signal(signal.SIGTERM, disk.cut)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(sys.argv[2])
        listener.listen(1)
        client, _ = listener.accept()
    with client, client.makefile("rb") as stream:
        if agree(client, stream, disk):
            serve(client, stream, disk)
    disk.flush()


def take(stream, form):
    size = struct.calcsize(form)
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return struct.unpack(form, data)


def agree(client, stream, disk):
    # Fixed newstyle, and no 124 zero bytes.
    client.sendall(b"NBDMAGICIHAVEOPT" + struct.pack(">H", 3))
    take(stream, ">I")
    while True:
        _, option, length = take(stream, ">8sII")
        stream.read(length)

        def reply(kind, data=b"", option=option):
            client.sendall(struct.pack(">QIII", OPTION_REPLY, option, kind, len(data)) + data)

        if option == OPT_GO:
            reply(REP_INFO, struct.pack(">HQH", 0, disk.size, FLAGS))
            reply(REP_ACK)
            return True
        if option == OPT_ABORT:
            reply(REP_ACK)
            return False
        reply(REP_UNSUPPORTED)


def serve(client, stream, disk):
    while True:
        try:
            _, flags, kind, handle, offset, length = take(stream, ">IHHQQI")
        except EOFError:
            return
        data = b""
        if kind == READ:
            data = disk.read(offset, length)
        elif kind == WRITE:
            disk.write(offset, stream.read(length))
        if kind == FLUSH or flags & FUA:
            disk.flush()
        if kind == DISCONNECT:
            return
        client.sendall(struct.pack(">IIQ", REPLY, 0, handle) + data)


if __name__ == "__main__":
    main()
