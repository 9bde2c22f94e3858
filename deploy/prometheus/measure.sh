#!/bin/sh
# What netdrop's metrics cost a Prometheus: bytes of memory for each series, bytes on disk for each sample, bytes of a scrape.
#   deploy/prometheus/measure.sh [NODES] [KINDS]
# Starts a Prometheus of its own on loopback, has it scrape so many made-up nodes (200) with so many kinds of drops each (40:
# combinations of reason, function and device), and asks it; then writes a day of samples into blocks with promtool. Takes
# two minutes and 1 GB in a temporary folder. Needs prometheus, promtool and python3.
set -eu
nodes=${1:-200}
kinds=${2:-40}
folder=$(mktemp -d)
exporter= prometheus=
finish() {
	[ -z "$prometheus" ] || kill "$prometheus" 2>/dev/null || true
	[ -z "$exporter" ] || kill "$exporter" 2>/dev/null || true
	wait
	rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' INT TERM

cat > "$folder/model.py" <<'PYTHON'
"""netdrop's metrics of made-up nodes: as a page to scrape (serve), or a day of samples (day)."""
import http.server, random, sys

REASONS = ["NO_SOCKET", "SOCKET_RCVBUFF", "TCP_LISTEN_OVERFLOW", "NETFILTER_DROP", "IP_OUTNOROUTES", "QDISC_DROP", "TCP_CSUM", "NEIGH_FAILED"]
CLASSES = ["no-receiver", "congestion", "congestion", "policy", "routing", "congestion", "malformed", "routing"]
FUNCTIONS = ["__udp4_lib_rcv", "udp_queue_rcv_one_skb", "tcp_v4_syn_recv_sock", "nf_hook_slow", "ip_error", "__dev_xmit_skb", "tcp_v4_rcv", "neigh_resolve_output"]
STAGES = ["ring_full", "table_full", "recursion_misses", "undecodable", "http", "otlp_queue", "log_file"]
FIXED = ["netdrop_drops_seen_total", "netdrop_drops_filtered_total", "netdrop_drops_detailed_total", "netdrop_drops_sampled_out_total",
         "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds",
         'netdrop_build_info{version="0.1.0"}', 'netdrop_kernel_info{release="6.12.0"}']

def labels(kind):
    at = kind % len(REASONS)
    return '{reason="%s",class="%s",function="%s",device="eth%d"}' % (REASONS[at], CLASSES[at], FUNCTIONS[at], kind // len(REASONS))

def serve(port, kinds):
    scrapes = {}
    class Page(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def log_message(self, *_): pass
        def do_GET(self):
            count = scrapes[self.path] = scrapes.get(self.path, 0) + 1
            lines = ["%s%s %d" % (name, labels(kind), count * (kind % 3) * scale)
                     for name, scale in (("netdrop_drops_total", 7), ("netdrop_drop_bytes_total", 4200)) for kind in range(kinds)]
            lines += ['netdrop_events_lost_total{stage="%s"} 0' % stage for stage in STAGES] + ["%s %d" % (name, count) for name in FIXED]
            body = ("\n".join(lines) + "\n").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Page).serve_forever()

def day(kinds, nodes, active, every):
    """Counters of which so many percent move, each in one interval of three, by random amounts."""
    rng = random.Random(1)
    start = 1_760_000_400 // 86400 * 86400
    out = sys.stdout
    for name, scale in (("netdrop_drops", 1), ("netdrop_drop_bytes", 600)):
        out.write("# TYPE %s counter\n" % name)
        for node in range(nodes):
            for kind in range(kinds):
                moves, value, text = rng.randrange(100) < active, 0, "%s_total%s,instance=\"node-%d\"} " % (name, labels(kind)[:-1], node)
                for time in range(start, start + 86400, every):
                    if moves and rng.randrange(3) == 0:
                        value += rng.randrange(1, 500) * scale
                    out.write("%s%d %d\n" % (text, value, time))
    out.write("# EOF\n")

{"serve": serve, "day": day}[sys.argv[1]](*map(int, sys.argv[2:]))
PYTHON

port=$((20000 + $$ % 20000))
python3 "$folder/model.py" serve $port "$kinds" & exporter=$!
{
	echo "global: {scrape_interval: 1s, scrape_timeout: 1s}"
	echo "scrape_configs:"
	echo "  - job_name: self"
	echo "    static_configs: [{targets: ['127.0.0.1:$((port + 1))']}]"
	echo "  - job_name: netdrop"
	echo "    scrape_interval: 5s"
	echo "    scrape_timeout: 5s"
	echo "    file_sd_configs: [{files: ['$folder/nodes.json'], refresh_interval: 1s}]"
} > "$folder/prometheus.yml"
echo '[]' > "$folder/nodes.json"
prometheus --config.file="$folder/prometheus.yml" --storage.tsdb.path="$folder/data" --log.level=error \
	--web.listen-address="127.0.0.1:$((port + 1))" & prometheus=$!

# The value of an expression, without a fraction.
ask() {
	promtool query instant "http://127.0.0.1:$((port + 1))" "$1" 2>/dev/null | sed -n 's/.* => \([0-9.e+]*\) @.*/\1/p' | head -n 1 |
		awk '{printf "%.0f\n", $1}'
}
# Resident memory, the least of what was seen: between two garbage collections it grows.
memory() { ask 'min_over_time(process_resident_memory_bytes{job="self"}[20s])'; }
live() { ask 'min_over_time(go_memstats_heap_alloc_bytes{job="self"}[30s])'; }
sleep 30
empty_memory=$(memory) empty_heap=$(live) empty_series=$(ask 'prometheus_tsdb_head_series{job="self"}')

python3 - "$nodes" "$port" > "$folder/nodes.new" <<'PYTHON'
import json, sys
print(json.dumps([{"targets": ["127.0.0.1:" + sys.argv[2]], "labels": {"instance": "node-%d" % node, "__metrics_path__": "/%d" % node}}
                  for node in range(int(sys.argv[1]))]))
PYTHON
mv "$folder/nodes.new" "$folder/nodes.json"
sleep 75
full_memory=$(memory) full_heap=$(live) full_series=$(ask 'prometheus_tsdb_head_series{job="self"}')
each=$(ask 'count({job="netdrop"}) / count(up{job="netdrop"})')
page=$(python3 -c "import urllib.request as u; print(len(u.urlopen('http://127.0.0.1:$port/page').read()))")
took=$(promtool query instant "http://127.0.0.1:$((port + 1))" 'avg(scrape_duration_seconds{job="netdrop"})' | sed -n 's/.* => \([0-9.e+-]*\) @.*/\1/p')
series=$((full_series - empty_series))

prometheus --version 2>&1 | head -n 1
echo "$nodes nodes with $kinds kinds of drops each: $each series a node (with those of the scrape itself), a page of $page bytes"
echo "memory: $series series more took $(((full_memory - empty_memory) / series)) bytes of resident memory each, $(((full_heap - empty_heap) / series)) of live heap"
echo "a scrape took $took s on average"
kill "$prometheus" && wait "$prometheus" || true
prometheus=

for active in 0 30 100; do
	python3 "$folder/model.py" day "$kinds" 2 $active 30 > "$folder/day.om"
	promtool tsdb create-blocks-from openmetrics "$folder/day.om" "$folder/blocks" > /dev/null
	samples=$(grep -vc '^#' "$folder/day.om")
	# What lies in the blocks, not what the file system rounds it up to.
	total() { find "$folder/blocks" -path "$1" -type f -printf '%s\n' | awk '{sum += $1} END {printf "%d", sum}'; }
	chunks=$(total '*/chunks/*')
	index=$(total '*/index')
	awk -v active=$active -v samples="$samples" -v chunks="$chunks" -v indexed="$index" 'BEGIN {
		printf "disk: %3d %% of the counters move: %.2f bytes a sample (%.2f chunks, %.2f index) over %d samples, every 30 s, in blocks of two hours\n",
			active, (chunks + indexed) / samples, chunks / samples, indexed / samples, samples}'
	rm -rf "$folder/blocks" "$folder/day.om"
done
