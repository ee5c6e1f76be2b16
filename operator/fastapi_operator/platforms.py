"""Facts of the platforms on which services run, in one place.

The charts of the operator and of a service repeat the ports of DNS; a test compares them.
"""

# Pods of OpenShift's DNS listen on 5353, and policies apply to the port of the pod. Elsewhere it is
# 53.
DNS_PORTS = (53, 5353)

# Addresses from which a cloud serves credentials of the node, for IPv4 and IPv6.
METADATA_ADDRESSES = ("169.254.169.254/32", "fd00:ec2::254/128")
