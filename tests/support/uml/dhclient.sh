#!/bin/sh
# What dhclient does with a lease: the address, and nothing else.
case $reason in
PREINIT) ip link set "$interface" up ;;
BOUND | REBOOT | RENEW | REBIND) ip addr replace "$new_ip_address/24" dev "$interface" ;;
EXPIRE | FAIL | RELEASE | STOP) ip addr flush dev "$interface" ;;
esac
