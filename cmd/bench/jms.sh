#!/usr/bin/env bash
# Loads brokers with ActiveMQ's Java client, one after the other in turns, and
# prints a table of the medians: messages a second, and the broker's processor
# time for each.
#
#   jms.sh [scenario...]
#
# Scenarios: persistent-1, persistent-10 (synchronous sends of so many producers,
# with consumers), transacted-100, non-persistent, topic-10, topic-100,
# request-reply; by default all. BROKERS says which take part (entrepot activemq
# activemq6 artemis; peers.sh install first), ROUNDS how often each (3),
# SECONDS_EACH how long (5), WARMUP before that (5). JMS_DIR holds data and the
# figures of each run (./bench-jms). ENTREPOT is the program, built if not given.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$(realpath -m "${JMS_DIR:-bench-jms}")
read -ra brokers <<<"${BROKERS:-entrepot activemq activemq6 artemis}"
scenarios=("$@")
[[ ${#scenarios[@]} -gt 0 ]] || scenarios=(persistent-1 persistent-10 transacted-100 non-persistent topic-10 topic-100 request-reply)
export PEERS_DIR=$dir/peers
mkdir -p "$dir/classes"

client() {
	local version=5.18.6 pom=$dir/pom.xml name
	if [[ ! -e $dir/lib ]]; then
		{
			echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
			echo '<groupId>entrepot</groupId><artifactId>load</artifactId><version>1</version><dependencies>'
			echo "<dependency><groupId>org.apache.activemq</groupId><artifactId>activemq-client</artifactId><version>$version</version></dependency>"
			echo '<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.13</version></dependency>'
			echo '</dependencies></project>'
		} >"$pom"
		mvn -B -q -f "$pom" dependency:copy-dependencies -DoutputDirectory="$dir/lib.part"
		mv "$dir/lib.part" "$dir/lib"
	fi
	javac -cp "$dir/lib/*" -d "$dir/classes" "$here/java/JmsLoad.java"
}

load() { java -Xmx1g -cp "$dir/classes:$dir/lib/*" JmsLoad "$@"; }

declare -A url pid

start_entrepot() {
	local program=${ENTREPOT:-$dir/entrepot} i
	[[ -n ${ENTREPOT:-} ]] || (cd "$here" && go build -o "$program" ../entrepot)
	"$program" serve --data-dir "$dir/data" --listen tcp://127.0.0.1:0 --console 127.0.0.1:0 >"$dir/banner" 2>"$dir/entrepot.log" &
	pid[entrepot]=$!
	for ((i = 0; i < 300; i++)); do
		url[entrepot]=$(sed -n 's|.*listeners=[a-z]*://\([^ ,]*\).*|tcp://\1|p' "$dir/banner" || true)
		[[ -z ${url[entrepot]} ]] || return 0
		sleep 0.1
	done
	tail -20 "$dir/entrepot.log" >&2
	return 1
}

start_peer() {
	local line
	line=$("$here/peers.sh" start "$1")
	pid[$1]=$(cut -d' ' -f3 <<<"$line")
	url[$1]=tcp://$(grep -o 'openwire=[^ ]*' <<<"$line" | cut -d= -f2)
}

# finish stops what was started and forgets its data.
finish() {
	[[ -z ${pid[entrepot]:-} ]] || kill "${pid[entrepot]}" 2>/dev/null || true
	wait
	"$here/peers.sh" clean
	rm -rf "$dir/data" "$dir/banner"
}

client
trap finish EXIT
trap 'exit 1' INT TERM
for broker in "${brokers[@]}"; do
	if [[ $broker == entrepot ]]; then start_entrepot; else start_peer "$broker"; fi
done
: >"$dir/figures"
for scenario in "${scenarios[@]}"; do
	for ((round = 0; round < ${ROUNDS:-3}; round++)); do
		for broker in "${brokers[@]}"; do
			load run "$broker" "${url[$broker]}" "${pid[$broker]}" "$scenario" "${WARMUP:-5}" "${SECONDS_EACH:-5}" | tee -a "$dir/figures" >&2
		done
	done
done
load table "$dir/figures"
