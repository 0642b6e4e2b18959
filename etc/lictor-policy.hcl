# The least that lictor's token needs where Consul's default policy is "deny": one policy
# for each host. Put names for NODE (this host as Consul calls it: "node" in lictor.conf),
# SERVICE and ROLE, and repeat those two lines for each service and role of the host.
# What is missing is said in lictor's log, once, with the rule.
#
#   consul acl policy create -name lictor-web-1 -rules @lictor-policy.hcl
#   consul acl token create -description "lictor on web-1" -policy-name lictor-web-1
#
# Consul's own agent needs a token too (acl.tokens.agent), with node "NODE" write and
# service_prefix "" read. Of lictor's it knows nothing.

# The name of this host, and its address for heartbeats; not needed where lictor.conf has
# "node" and, if there are roles, "address" under "failover".
agent "NODE" { policy = "read" }

# lictor's own service, with its heartbeat, and each that it looks after.
service "lictor" { policy = "write" }
service "SERVICE" { policy = "write" }

# Only where checks stand outside services: they are of the node.
node "NODE" { policy = "write" }

# What Consul shows of this host and of others.
node_prefix "" { policy = "read" }

# Only where there are roles: the session by which other hosts see that this one lives, the
# role's own keys, and the secret of the hosts' direct heartbeats.
session "NODE" { policy = "write" }
key_prefix "lictor/roles/ROLE/" { policy = "write" }
key "lictor/heartbeat-key" { policy = "write" }

# Only where there are roles and Consul's acl.enable_key_list_policy is set:
#key_prefix "lictor/roles/" { policy = "list" }
