"""The cost of the operator on a real kube-apiserver and etcd."""
