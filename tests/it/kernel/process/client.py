"""What the scripts of this folder share: a kernel, and cells of it."""
import re
import sys
import time
from contextlib import contextmanager

from jupyter_client.manager import KernelManager

LONG = 60


class Kernel:
    """A kernel with a client. What it says on its own stderr goes to `kernel.log`."""

    def __init__(self, **options):
        self.manager = KernelManager(kernel_name="lathe", **options)
        self.log = open("kernel.log", "a+")
        self.manager.start_kernel(stderr=self.log, stdout=self.log)
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=LONG)

    @property
    def process(self):
        return self.manager.provisioner.process

    def said(self):
        with open("kernel.log") as f:
            return f.read()

    def begin(self, code, **options):
        return self.client.execute(code, **options)

    def end(self, id, timeout=LONG):
        """The outputs and the reply of a cell that was begun."""
        outputs = []
        while True:
            message = self.client.get_iopub_msg(timeout=timeout)
            if message["parent_header"].get("msg_id") != id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status":
                if content["execution_state"] == "idle":
                    break
            elif kind != "execute_input":
                outputs.append((kind, content))
        while True:
            reply = self.client.get_shell_msg(timeout=timeout)
            if reply["parent_header"].get("msg_id") == id:
                return outputs, reply["content"]

    def run(self, code, **options):
        return self.end(self.begin(code, **options))

    def value(self, code):
        """The text of a cell's last value, or of its error."""
        outputs, reply = self.run(code)
        if reply["status"] == "error":
            return plain("\n".join(reply["traceback"]))
        return "".join(c["data"]["text/plain"] for kind, c in outputs if kind == "execute_result")

    def printed(self, code, stream="stdout"):
        outputs, reply = self.run(code)
        assert reply["status"] == "ok", reply
        return "".join(c["text"] for kind, c in outputs if kind == "stream" and c["name"] == stream)

    def until_printed(self, word):
        """Waits for a stream that holds a word."""
        end = time.time() + LONG
        while time.time() < end:
            message = self.client.get_iopub_msg(timeout=LONG)
            if message["msg_type"] == "stream" and word in message["content"]["text"]:
                return
        raise AssertionError(f"no {word!r} was printed")

    def close(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel()
        self.log.close()


def plain(text):
    """A text without colours."""
    return re.sub("\x1b\\[[0-9;]*m", "", text)


def is_in(word, text):
    assert word in text, f"no {word!r} in\n{text}"


def until(done, what, seconds=LONG):
    end = time.time() + seconds
    while not done():
        assert time.time() < end, f"waited {seconds} s for {what}"
        time.sleep(0.02)


@contextmanager
def kernel(**options):
    k = Kernel(**options)
    try:
        yield k
    except BaseException:
        print(k.said(), file=sys.stderr)
        raise
    finally:
        k.close()
