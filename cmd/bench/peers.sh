#!/usr/bin/env bash
# Debian's ActiveMQ and RabbitMQ as peers of a comparison: installed, started
# with private data on loopback only, stopped again.
#
#   peers.sh install                     the packages (root; starts no service)
#   peers.sh start [activemq|rabbitmq]   prints a line "name address pid" each
#   peers.sh stop  [activemq|rabbitmq]
#   peers.sh clean                       stop, and delete their data
#
# PEERS_DIR holds configuration, data and logs (default: ./bench-peers).
# ACTIVEMQ_PORT and RABBITMQ_PORT are the STOMP ports (62613, 63613).
set -euo pipefail

dir=$(realpath -m "${PEERS_DIR:-bench-peers}")
activemq_port=${ACTIVEMQ_PORT:-62613}
rabbitmq_port=${RABBITMQ_PORT:-63613}
activemq_home=/usr/share/activemq
rabbitmq_bin=/usr/lib/rabbitmq/bin
export ERL_EPMD_PORT=${ERL_EPMD_PORT:-64369} ERL_EPMD_ADDRESS=127.0.0.1

install() {
	# A policy that allows no service, unless the machine has one.
	local policy=/usr/sbin/policy-rc.d ours=
	if [[ ! -e $policy ]]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		ours=$policy
	fi
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends activemq rabbitmq-server || {
		[[ -z $ours ]] || rm -f "$ours"
		return 1
	}
	[[ -z $ours ]] || rm -f "$ours"
}

# STOMP alone, and the journal on disk, as `start` on a fresh installation has
# it; no console, no JMX.
activemq_config() {
	cat <<-EOF
		<beans xmlns="http://www.springframework.org/schema/beans"
		    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
		    xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
		      http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
		  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="peer" useJmx="false" dataDirectory="$1/data">
		    <persistenceAdapter><kahaDB directory="$1/data/kahadb"/></persistenceAdapter>
		    <systemUsage><systemUsage>
		      <memoryUsage><memoryUsage percentOfJvmHeap="70"/></memoryUsage>
		      <storeUsage><storeUsage limit="20 gb"/></storeUsage>
		      <tempUsage><tempUsage limit="10 gb"/></tempUsage>
		    </systemUsage></systemUsage>
		    <transportConnectors>
		      <transportConnector name="stomp" uri="stomp://127.0.0.1:$activemq_port"/>
		    </transportConnectors>
		  </broker>
		</beans>
	EOF
}

# free NAME PORT: what listens there already would be taken for the peer.
free() {
	if listens "$2"; then
		echo "$1: something listens on 127.0.0.1:$2 already" >&2
		return 1
	fi
}

listens() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

start_activemq() {
	local home=$dir/activemq
	free activemq "$activemq_port"
	mkdir -p "$home/data" "$home/tmp"
	activemq_config "$home" >"$home/activemq.xml"
	setsid java -Xms512m -Xmx2g -Djava.io.tmpdir="$home/tmp" -Dactivemq.home=$activemq_home \
		-Dactivemq.base="$home" -Dactivemq.data="$home/data" -jar $activemq_home/bin/activemq.jar \
		start "xbean:file:$home/activemq.xml" >"$home/log" 2>&1 </dev/null &
	echo $! >"$home/pid"
	await activemq "$activemq_port"
}

start_rabbitmq() {
	local home=$dir/rabbitmq
	free rabbitmq "$rabbitmq_port"
	mkdir -p "$home"
	echo '[rabbitmq_stomp].' >"$home/enabled_plugins"
	cat >"$home/rabbitmq.conf" <<-EOF
		listeners.tcp = none
		stomp.listeners.tcp.1 = 127.0.0.1:$rabbitmq_port
	EOF
	# The script under lib does not change the user, so the data may be private.
	HOME=$home RABBITMQ_NODENAME=bench-peer@localhost RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf \
		RABBITMQ_MNESIA_BASE=$home/data RABBITMQ_LOG_BASE=$home/logs RABBITMQ_PID_FILE=$home/pid \
		RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
		setsid $rabbitmq_bin/rabbitmq-server >"$home/log" 2>&1 </dev/null &
	await rabbitmq "$rabbitmq_port"
}

# await NAME PORT: until it listens, or its process ends.
await() {
	local i pid
	for ((i = 0; i < 600; i++)); do
		if listens "$2" && [[ -s $dir/$1/pid ]]; then
			echo "$1 127.0.0.1:$2 $(cat "$dir/$1/pid")"
			return
		fi
		pid=$(cat "$dir/$1/pid" 2>/dev/null || true)
		if [[ -n $pid ]] && ! kill -0 "$pid" 2>/dev/null; then
			break
		fi
		sleep 0.1
	done
	echo "$1 did not start; the end of $dir/$1/log:" >&2
	tail -20 "$dir/$1/log" >&2
	return 1
}

stop_one() {
	local pid i
	pid=$(cat "$dir/$1/pid" 2>/dev/null || true)
	if [[ -n $pid ]]; then
		kill "$pid" 2>/dev/null || true
		for ((i = 0; i < 150; i++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.1
		done
		kill -9 "$pid" 2>/dev/null || true
		rm -f "$dir/$1/pid"
	fi
	if [[ $1 == rabbitmq ]]; then
		epmd -kill >/dev/null 2>&1 || true # ours: it has a port of its own
	fi
}

peers=("${@:2}")
[[ ${#peers[@]} -gt 0 ]] || peers=(activemq rabbitmq)
for peer in "${peers[@]}"; do
	[[ $peer == activemq || $peer == rabbitmq ]] || { echo "unknown peer $peer" >&2; exit 2; }
done

case ${1:-} in
install) install ;;
start) for peer in "${peers[@]}"; do "start_$peer"; done ;;
stop) for peer in "${peers[@]}"; do stop_one "$peer"; done ;;
clean)
	stop_one activemq
	stop_one rabbitmq
	rm -rf "$dir/activemq" "$dir/rabbitmq"
	rmdir "$dir" 2>/dev/null || true
	;;
*)
	sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
	;;
esac
