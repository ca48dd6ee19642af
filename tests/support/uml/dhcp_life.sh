# The life of a guest's address, with real daemons: a server on the controller, guests behind a compute node's bridge, VLAN 100 between. Each
# scene breaks one thing, waits until netdiag says so, mends it, and waits until it says that it is over.

. ./guests.sh

serves() { # RANGE
    ip netns exec controller dnsmasq --no-daemon --conf-file=/dev/null --port=0 --bind-interfaces --interface=vlan100 --no-ping \
        --dhcp-range="$1,120" --dhcp-leasefile=/tmp/leases --user=root >>dnsmasq.log 2>&1 & server=$!
}

# A guest boots, renews, and renews again.
serves 10.0.100.10,10.0.100.20
scene healthy
asks guest; until_true 20 has_address guest
kill -USR1 $client; sleep 2; kill -USR1 $client; sleep 3
curtain

# The server dies; a guest that boots hears nothing. The server comes back.
kill $server; wait $server || true
scene server-dead
asks other; until_true 60 has_said $name opened DHCP001
serves 10.0.100.10,10.0.100.20
until_true 60 has_said $name resolved DHCP001
curtain

# What the server answers is lost on the way into the guest, behind where netdiag listens.
tc_lost() { ip netns exec node tc qdisc "$1" dev tap0 root netem loss 100%; }
tc_lost add
scene offers-lost
asks guest; until_true 60 has_said $name opened DHCP002
tc_lost del
until_true 60 has_said $name resolved DHCP002
curtain

# The same while a guest renews: the server answers, and the guest asks as if it had heard nothing. It knows where the server is: had it to ask,
# its first renewal would stay in its own queue. Told once, the client asks again by itself; told twice, it would start over.
asks guest; until_true 20 has_address guest
scene renewals-ignored
ip -n guest neigh replace 10.0.100.1 lladdr "$(ip -n controller -br link show vlan100 | awk '{ print $3 }')" dev eth0 nud permanent
tc_lost add
kill -USR1 $client; until_true 60 has_said $name opened DHCP005
tc_lost del
# Somebody asks for the guest, and it answers.
ip netns exec controller ./talk reach "$(ip -n guest -4 -br addr show dev eth0 | awk '{ sub("/.*", "", $3); print $3 }'):7000" || true
until_true 90 has_said $name resolved DHCP005
curtain

kill $server; wait $server || true
