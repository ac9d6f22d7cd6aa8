"""The operator's replicas: one works, the others wait."""
from harness.kube import Namespace


def working(operator):
    """The pod that holds the Lease."""
    holder = operator.get("lease", "milena")["spec"]["holderIdentity"]
    return operator.get("pod", holder)


def busy_nodes(operator):
    """Nodes without which nobody decides, or no name is found."""
    pods = [working(operator), *Namespace("kube-system").list("pods")]
    return {pod["spec"]["nodeName"] for pod in pods}
