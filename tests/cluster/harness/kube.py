"""kubectl and helm, as a user types them."""
import json
import subprocess

from harness.wait import until

GROUP = "milena.dev/v1alpha1"


class Refused(Exception):
    """The API server did not take it; the text says why."""


def kubectl(*arguments, input=None, timeout=120):
    done = subprocess.run(
        ["kubectl", *map(str, arguments)], text=True, capture_output=True, input=input, timeout=timeout, check=False
    )
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def helm(*arguments, check=True):
    done = subprocess.run(["helm", *map(str, arguments)], text=True, capture_output=True, timeout=180, check=False)
    if check and done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout + done.stderr


class Namespace:
    """One namespace, and what is done in it."""

    def __init__(self, name="default"):
        self.name = name

    def run(self, *arguments, **options):
        return kubectl("-n", self.name, *arguments, **options)

    def apply(self, *objects):
        text = "\n---\n".join(json.dumps(one) if isinstance(one, dict) else one for one in objects)
        return self.run("apply", "-f", "-", input=text)

    def get(self, kind, name):
        """The object, or None."""
        text = self.run("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def list(self, kind, *arguments):
        return json.loads(self.run("get", kind, "-o", "json", *arguments))["items"]

    def delete(self, kind, name, *arguments):
        return self.run("delete", kind, name, *arguments)

    def patch(self, kind, name, patch, how="merge"):
        return self.run("patch", kind, name, f"--type={how}", "-p", json.dumps(patch))

    def ready(self, kind, name):
        """The condition of type Ready, or None."""
        one = self.get(kind, name) or {}
        conditions = one.get("status", {}).get("conditions", [])
        return next((condition for condition in conditions if condition["type"] == "Ready"), None)

    def wait_ready(self, kind, name, timeout=60):
        def is_ready():
            one = self.get(kind, name) or {}
            condition = self.ready(kind, name)
            current = one.get("status", {}).get("observedGeneration") == one.get("metadata", {}).get("generation")
            return condition and condition["status"] == "True" and current

        try:
            return until(f"{kind} {name} is ready", is_ready, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.ready(kind, name)}\n{self.picture()}") from None

    def wait_reason(self, kind, name, reason, timeout=30):
        """Waits for a reason of the Ready condition; the condition."""

        def has():
            condition = self.ready(kind, name)
            return condition if condition and condition["reason"] == reason else None

        return until(f"{kind} {name} says {reason}", has, timeout)

    def events(self, about):
        return self.list("events", f"--field-selector=involvedObject.name={about}")

    def picture(self):
        """What a person would look at first."""
        return self.run("get", "kafkaclusters,kafkatopics,pods,statefulsets", "-o", "wide")


def cluster(name="demo", brokers=3, size="1Gi", **spec):
    return {
        "apiVersion": GROUP, "kind": "KafkaCluster", "metadata": {"name": name},
        "spec": {"brokers": brokers, "storage": {"size": size}, **spec},
    }


def topic(name, cluster="demo", partitions=1, annotations=None, **spec):
    return {
        "apiVersion": GROUP, "kind": "KafkaTopic", "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"cluster": cluster, "partitions": partitions, **spec},
    }
