"""The loop that every Python driver runs: one JSON request a line in, one JSON answer a line out.

A request is {"op": name, ...arguments}; an answer is {"ok": result} or {"error": class, "code": Kafka's
error code or null, "message": text}. Runs on Python 3.6 and later, because old clients do.
"""

import base64
import faulthandler
import json
import logging
import os
import queue
import signal
import sys
import threading
import time
import traceback


def encode(data):
    """Bytes as base64 text; None stays None."""
    return None if data is None else base64.b64encode(bytes(data)).decode("ascii")


def decode(text):
    """The reverse of encode."""
    return None if text is None else base64.b64decode(text)


def serve(ops, code_of):
    """Answers requests from stdin until it closes. `code_of(exception)` gives Kafka's error code, or None."""
    if os.environ.get("MILENA_TEST_LOG"):
        logging.basicConfig(level=os.environ["MILENA_TEST_LOG"], format="%(asctime)s %(name)s %(message)s")
    faulthandler.register(signal.SIGUSR1, all_threads=True)  # asked for where no answer comes in time
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not look like an answer
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"ok": ops[request.pop("op")](**request)}
        except Exception as error:
            traceback.print_exc()
            answer = {"error": type(error).__name__, "code": code_of(error), "message": str(error)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # members left open do not get to say goodbye: tests that want that ask for `leave`


class Member:
    """A group member that polls on a thread of its own, as an application does.

    `poll()` returns records as dictionaries; everything that touches the consumer runs on that thread.
    """

    def __init__(self, open_consumer, poll, close):
        self.records, self.error = [], None
        self._tasks, self._lock = queue.Queue(), threading.Lock()
        self._open, self._poll, self._close = open_consumer, poll, close
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            consumer, going = self._open(), True
            while going:
                records = self._poll(consumer)
                with self._lock:
                    self.records.extend(records)
                while not self._tasks.empty():
                    task, done = self._tasks.get()
                    if task is None:
                        self._close(consumer)
                        going = False
                        done.put(("ok", None))
                        continue
                    try:
                        done.put(("ok", task(consumer)))
                    except Exception as error:
                        done.put(("error", error))
        except Exception as error:
            traceback.print_exc()
            self.error = "%s: %s" % (type(error).__name__, error)

    def run(self, task):
        """Runs task(consumer) between two polls and returns its result; None closes the consumer."""
        done = queue.Queue()
        self._tasks.put((task, done))
        kind, value = done.get(timeout=40)
        if kind == "error":
            raise value
        return value

    def leave(self):
        """Closes the consumer; returns what it had read until then."""
        self.run(None)
        return self.drain()

    def drain(self):
        """Records since the last call, and what ended the member, if anything did."""
        with self._lock:
            records, self.records = self.records, []
        return {"records": records, "error": self.error}


class Flood:
    """Produces numbered records, one partition after the other, until stopped, and keeps what was acknowledged.

    `send(value, partition, done)` starts one and calls done(error, offset) when its outcome is known.
    """

    def __init__(self, send, flush, prefix, partitions, pause):
        self.acked, self.failed, self.sent = [], [], 0
        self._send, self._flush = send, flush
        self._prefix, self._partitions, self._pause = prefix, partitions, pause
        self._going = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while self._going:
            partition, value = self.sent % self._partitions, "%s-%d" % (self._prefix, self.sent)

            def done(error, offset, partition=partition, value=value):
                if error is None:
                    self.acked.append([value, partition, offset])
                else:
                    self.failed.append([value, str(error)])

            try:
                self._send(value.encode(), partition, done)
            except Exception as error:  # a full queue while the broker is away
                self.failed.append([value, str(error)])
            self.sent += 1
            time.sleep(self._pause)

    def stop(self):
        """Waits for what is under way; returns what was acknowledged and what failed."""
        self._going = False
        self._thread.join()
        self._flush()
        return {"acked": self.acked, "failed": self.failed, "sent": self.sent}
