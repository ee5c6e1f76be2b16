"""What the operator costs on a real kube-apiserver and etcd."""
