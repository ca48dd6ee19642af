# The same life with ISC's daemons: dhcpd and dhclient, and dhcrelay between them. Each scene breaks one thing, waits until netdiag says so, mends
# it, and waits until it says that it is over.

. ./guests.sh

dhcpd_serves() { # FIRST LAST SECONDS [NAMESPACE LINK]
    cat >/tmp/dhcpd.conf <<END
default-lease-time $3; max-lease-time $3; min-lease-time 1; ping-check false; authoritative;
dhcp-cache-threshold 0;
subnet 10.0.100.0 netmask 255.255.255.0 { range $1 $2; option routers 10.0.100.1; }
subnet 10.9.0.0 netmask 255.255.255.0 { }
END
    : >/tmp/dhcpd.leases
    resumes "${4:-controller}" "${5:-vlan100}"
}

resumes() { # NAMESPACE LINK: with the leases that there are
    ip netns exec "$1" dhcpd -4 -d --no-pid -user root -group root -cf /tmp/dhcpd.conf -lf /tmp/dhcpd.leases "$2" >>dhcpd.log 2>&1 & server=$!
}

dies() { kill -9 $server; wait $server || true; }

dhclient_asks() { # GUEST: its process is $client
    cat >/tmp/dhclient.conf <<END
timeout 60; retry 1; reboot 1; initial-interval 1; backoff-cutoff 2;
END
    ip netns exec "$1" dhclient -4 -d --no-pid -cf /tmp/dhclient.conf -lf "/tmp/$1.leases" -sf /mnt/story/dhclient.sh eth0 >>"$1.log" 2>&1 & client=$!
}

acked() { [ "$(grep -c DHCPACK dhcpd.log)" -ge "$1" ]; }
: >dhcpd.log; chmod +x dhclient.sh lease.sh

# A guest boots and renews. It begins to at a moment of its choice, after nine sixteenths of the lease at most as seen, and there must be time left to
# ask in vain.
dhcpd_serves 10.0.100.10 10.0.100.20 24
scene daemons-healthy
dhclient_asks guest; until_true 60 acked 2
curtain

# The server is killed while the guest has a lease, and comes back with its list.
dhclient_asks guest; until_true 20 has_address guest
scene server-killed
ip -n guest link set eth0 up
dies
until_true 60 has_said $name opened DHCP004
resumes controller vlan100
until_true 60 has_said $name resolved DHCP004
curtain; dies

# A pool of one address, which one guest has; another asks for one. The first gives it back.
dhcpd_serves 10.0.100.10 10.0.100.10 120
asks guest; until_true 20 has_address guest; first=$client
scene pool-of-one
asks other; until_true 60 has_said $name opened DHCP001
kill -USR2 $first; until_true 60 has_said $name resolved DHCP001
kill $first; wait $first || true
curtain; dies

# A guest finds that somebody has what it was given, and declines it.
dhcpd_serves 10.0.100.10 10.0.100.20 120
ip -n other addr add 10.0.100.10/24 dev eth0
scene address-in-use
ip netns exec guest udhcpc -f -i eth0 -s /mnt/story/lease.sh -a1000 -t 60 -T 2 -A 2 >>guest.log 2>&1 & client=$!
until_true 60 has_said $name opened DHCP010
until_true 60 has_said $name resolved DHCP010
curtain

# The server's answers reach the guest with a wrong UDP checksum: something on the node has touched them and not counted anew.
tc_broken() {
    ip netns exec node tc qdisc add dev vlan100 clsact
    ip netns exec node tc filter add dev vlan100 ingress protocol ip u32 match ip protocol 17 0xff match ip sport 67 0xffff \
        action pedit munge offset 100 u8 set 0x41
}
for module in sch_ingress cls_u32 act_pedit; do modprobe -d /tmp/modules $module; done
tc_broken
scene checksums-broken tap0
asks guest; until_true 60 has_said $name opened DHCP019
ip netns exec node tc qdisc del dev vlan100 clsact
until_true 60 has_said $name resolved DHCP019
curtain

# A second server on the guests' network, with another idea of it.
ip -n other addr add 192.168.66.1/24 dev eth0
ip netns exec other dnsmasq --no-daemon --conf-file=/dev/null --port=0 --bind-interfaces --interface=eth0 --no-ping \
    --dhcp-range=192.168.66.10,192.168.66.20,120 --dhcp-leasefile=/tmp/second --user=root >>second.log 2>&1 & second=$!
scene second-server
# Asked by broadcast it answers by broadcast, which passes the bond, too.
ip netns exec guest udhcpc -f -B -i eth0 -s /mnt/story/lease.sh -t 60 -T 2 -A 2 >>guest.log 2>&1 & client=$!
until_true 60 has_said $name opened DHCP015
kill $second; wait $second || true
curtain; dies

# The server moves behind a relay, which dies and comes back.
made server
joined server eth0 controller up0
ip -n server link set eth0 up; ip -n controller link set up0 up
ip -n server addr add 10.9.0.2/24 dev eth0; ip -n controller addr add 10.9.0.1/24 dev up0
ip -n server route add default via 10.9.0.1; ip netns exec controller sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
dhcpd_serves 10.0.100.10 10.0.100.20 120 server eth0
relays() { ip netns exec controller dhcrelay -4 -d --no-pid -id vlan100 -iu up0 10.9.0.2 >>relay.log 2>&1 & relay=$!; }
relays
scene relayed
asks guest; until_true 30 has_address guest; sleep 2
curtain
kill $relay; wait $relay || true
scene relay-dead
asks other; until_true 60 has_said $name opened DHCP001
relays
until_true 60 has_said $name resolved DHCP001
curtain
kill $relay; wait $relay || true; dies
