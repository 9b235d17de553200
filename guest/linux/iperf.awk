# SPDX-License-Identifier: BSD-2-Clause
# The sums of an `iperf3 --json` output as one result line for the hypervisor. What was received
# counts; a UDP test of this version has one sum for both ends.
/^\t"end":/ { in_end = 1 }
in_end && /^\t\t"[a-z_]+":/ { section = $1; gsub(/[":]/, "", section) }
in_end && /^\t\t\t"[a-z_]+":/ {
	key = $1; value = $2
	gsub(/[":]/, "", key); sub(/,$/, "", value)
	got[section "." key] = value
}
function best(key, value) {
	if (("sum_received." key) in got) return got["sum_received." key]
	return got["sum." key]
}
END {
	printf "lasthop: result test=%s mtu=%d us=%d bytes=%.0f", name, mtu,
		best("seconds") * 1000000, best("bytes")
	if ("sum.packets" in got)
		printf " packets=%d lost=%d", got["sum.packets"], got["sum.lost_packets"]
	if (ring != "")
		printf " ring=%d", ring
	if ("sum_sent.retransmits" in got)
		printf " retransmits=%d", got["sum_sent.retransmits"]
	print ""
}
