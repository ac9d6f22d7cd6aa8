//! The control plane as pure decisions: placement, election, lease judgement. No kube client, no clock, no async.
