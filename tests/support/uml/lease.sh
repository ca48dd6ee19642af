#!/bin/sh
# What udhcpc does with a lease: the address, and nothing else.
case $1 in
deconfig) ip addr flush dev "$interface"; ip link set "$interface" up ;;
bound | renew) ip addr replace "$ip/${mask:-24}" dev "$interface" ;;
esac
