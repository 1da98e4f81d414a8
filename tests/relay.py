"""A wire to a server that can be cut and mended, as if the server had died and come back."""

import socket
import threading
from contextlib import suppress

from tests.servers import free_port


class Relay:
    """Forwards connections on `port` to a server on loopback, until the block ends."""

    def __init__(self, target):
        self.port = free_port()
        self._target = target
        self._listener = None
        self._open = set()

    def __enter__(self):
        self.mend()
        return self

    def __exit__(self, *_):
        self.end()

    def mend(self):
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def end(self):
        """No more connections, and those there are break."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client):
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            pair = {client, server}
            self._open |= pair
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()
            self._open -= pair


def _pump(source, target):
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    for one in (source, target):
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
