"""A store in memory that counts what is asked of it."""

from collections import Counter

from infra.errors import AlreadyExists, NotFound


class MemoryStore:
    uri = "memory"

    def __init__(self, *, conditional=True):
        self.objects, self.asked, self.conditional = {}, Counter(), conditional

    def put(self, key, data, *, if_absent=False):
        self.asked["put"] += 1
        if if_absent and self.conditional and key in self.objects:
            raise AlreadyExists(key)
        self.objects[key] = data

    def get(self, key):
        self.asked["get"] += 1
        if key not in self.objects:
            raise NotFound(key)
        return self.objects[key]

    def exists(self, key):
        self.asked["exists"] += 1
        return key in self.objects

    def keys(self, prefix=""):
        self.asked["keys"] += 1
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def honours_conditional_writes(self):
        return self.conditional
