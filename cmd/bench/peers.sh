#!/usr/bin/env bash
# Peers of a comparison: Debian's ActiveMQ (5.17) and RabbitMQ, ActiveMQ 6 and
# Artemis from Maven Central; installed, started with private data on loopback
# only, stopped again.
#
#   peers.sh install [peer...]   the packages (Debian's need root; starts no service)
#   peers.sh start   [peer...]   prints a line each: name address pid, openwire=address, amqp=address
#   peers.sh stop    [peer...]
#   peers.sh clean               stop, and delete their data
#
# Peers are activemq, activemq6, artemis, rabbitmq; by default activemq and
# rabbitmq. The address is STOMP's. PEERS_DIR holds configuration, data and logs
# (default: ./bench-peers). PEERS_PORT is the first of the ten ports in use
# (62613); ACTIVEMQ_PORT and RABBITMQ_PORT are the STOMP ports of those two.
# PEERS_SCHEDULER=true lets ActiveMQ schedule messages.
set -euo pipefail

dir=$(realpath -m "${PEERS_DIR:-bench-peers}")
first=${PEERS_PORT:-62613}
declare -A stomp=([activemq]=${ACTIVEMQ_PORT:-$first} [activemq6]=$((first + 1)) [artemis]=$((first + 2)) [rabbitmq]=${RABBITMQ_PORT:-63613})
declare -A openwire=([activemq]=$((first + 3)) [activemq6]=$((first + 4)) [artemis]=${stomp[artemis]})
declare -A amqp=([activemq6]=$((first + 5)) [artemis]=${stomp[artemis]} [rabbitmq]=$((first + 6)))
declare -A mqtt=([activemq]=$((first + 7)) [activemq6]=$((first + 8)) [artemis]=${stomp[artemis]} [rabbitmq]=$((first + 9)))
activemq_home=/usr/share/activemq
rabbitmq_bin=/usr/lib/rabbitmq/bin
activemq6_version=6.1.6
artemis_version=2.44.0
libraries=${XDG_CACHE_HOME:-$HOME/.cache}/entrepot-peers
export ERL_EPMD_PORT=${ERL_EPMD_PORT:-64369} ERL_EPMD_ADDRESS=127.0.0.1

install_debian() { # PACKAGE...
	# A policy that allows no service, unless the machine has one.
	local policy=/usr/sbin/policy-rc.d ours=
	if [[ ! -e $policy ]]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		ours=$policy
	fi
	apt-get update
	DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" || {
		[[ -z $ours ]] || rm -f "$ours"
		return 1
	}
	[[ -z $ours ]] || rm -f "$ours"
}

# What the tar.gz of ActiveMQ 6 has in its lib: Maven Central has the jars only.
install_activemq6() {
	local home=$libraries/activemq-$activemq6_version name
	[[ ! -e $home/lib ]] || return 0
	mkdir -p "$home"
	{
		echo '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
		echo '<groupId>entrepot</groupId><artifactId>activemq6</artifactId><version>1</version><dependencies>'
		for name in console spring kahadb-store stomp amqp mqtt; do
			echo "<dependency><groupId>org.apache.activemq</groupId><artifactId>activemq-$name</artifactId><version>$activemq6_version</version></dependency>"
		done
		echo '<dependency><groupId>org.springframework</groupId><artifactId>spring-context</artifactId><version>6.1.14</version></dependency>'
		echo '<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>2.0.16</version></dependency>'
		echo '</dependencies></project>'
	} >"$home/pom.xml"
	mvn -B -q -f "$home/pom.xml" dependency:copy-dependencies -DoutputDirectory="$home/lib.part"
	mv "$home/lib.part" "$home/lib"
}

install_artemis() {
	[[ ! -e $libraries/apache-artemis-$artemis_version ]] || return 0
	mkdir -p "$libraries/part"
	mvn -B -q dependency:copy -Dartifact="org.apache.activemq:apache-artemis:$artemis_version:tar.gz:bin" -DoutputDirectory="$libraries/part"
	tar -xzf "$libraries/part/apache-artemis-$artemis_version-bin.tar.gz" -C "$libraries/part"
	mv "$libraries/part/apache-artemis-$artemis_version" "$libraries"
	rm -r "$libraries/part"
}

install_one() {
	case $1 in
	activemq) install_debian activemq ;;
	rabbitmq) install_debian rabbitmq-server ;;
	*) "install_$1" ;;
	esac
}

connector() { # SCHEME PORT
	[[ -z $2 ]] || echo "<transportConnector name=\"$1\" uri=\"$1://127.0.0.1:$2\"/>"
}

# The journal on disk, as `start` on a fresh installation has it; no console, no
# JMX.
activemq_config() { # NAME HOME
	cat <<-EOF
		<beans xmlns="http://www.springframework.org/schema/beans"
		    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
		    xsi:schemaLocation="http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans-2.0.xsd
		      http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
		  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="$1" useJmx="false" schedulerSupport="${PEERS_SCHEDULER:-false}" dataDirectory="$2/data">
		    <destinationPolicy><policyMap><policyEntries>
		      <policyEntry topic="&gt;"><pendingMessageLimitStrategy><constantPendingMessageLimitStrategy limit="1000"/></pendingMessageLimitStrategy></policyEntry>
		    </policyEntries></policyMap></destinationPolicy>
		    <persistenceAdapter><kahaDB directory="$2/data/kahadb"/></persistenceAdapter>
		    <systemUsage><systemUsage>
		      <memoryUsage><memoryUsage percentOfJvmHeap="70"/></memoryUsage>
		      <storeUsage><storeUsage limit="20 gb"/></storeUsage>
		      <tempUsage><tempUsage limit="10 gb"/></tempUsage>
		    </systemUsage></systemUsage>
		    <transportConnectors>
		      $(connector stomp "${stomp[$1]}")
		      $(connector tcp "${openwire[$1]}")
		      $(connector amqp "${amqp[$1]:-}")
		      $(connector mqtt "${mqtt[$1]}")
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
	run_activemq activemq -Dactivemq.home=$activemq_home -jar $activemq_home/bin/activemq.jar
}

start_activemq6() {
	run_activemq activemq6 -cp "$libraries/activemq-$activemq6_version/lib/*" org.apache.activemq.console.command.ShellCommand
}

run_activemq() { # NAME HOW
	local home=$dir/$1 name=$1
	free "$name" "${stomp[$name]}"
	mkdir -p "$home/data" "$home/tmp"
	activemq_config "$name" "$home" >"$home/activemq.xml"
	setsid java -Xms512m -Xmx2g -Djava.io.tmpdir="$home/tmp" -Dactivemq.base="$home" -Dactivemq.data="$home/data" \
		"${@:2}" start "xbean:file:$home/activemq.xml" >"$home/log" 2>&1 </dev/null &
	echo $! >"$home/pid"
	await "$name" "${stomp[$name]}"
}

# As "artemis create" makes it: journal with asynchronous I/O if the machine has
# libaio, and synced; one port for all protocols.
start_artemis() {
	local home=$dir/artemis
	free artemis "${stomp[artemis]}"
	if [[ ! -e $home/instance ]]; then
		mkdir -p "$home"
		"$libraries/apache-artemis-$artemis_version/bin/artemis" create --silent --user peer --password peer --allow-anonymous --no-web \
			--http-host 127.0.0.1 --host 127.0.0.1 --default-port "${stomp[artemis]}" --no-amqp-acceptor --no-mqtt-acceptor --no-stomp-acceptor \
			--no-hornetq-acceptor --java-memory 2G "$home/instance" >"$home/create.log" 2>&1
		# AMQP says by its address what is a queue.
		sed -i 's|tcp://0.0.0.0:|tcp://127.0.0.1:|g; s|;protocols=CORE|;anycastPrefix=queue://;multicastPrefix=topic://&|' "$home/instance/etc/broker.xml"
	fi
	setsid "$home/instance/bin/artemis" run >"$home/log" 2>&1 </dev/null &
	echo $! >"$home/pid"
	await artemis "${stomp[artemis]}"
}

start_rabbitmq() {
	local home=$dir/rabbitmq
	free rabbitmq "${stomp[rabbitmq]}"
	mkdir -p "$home"
	echo '[rabbitmq_stomp,rabbitmq_amqp1_0,rabbitmq_mqtt].' >"$home/enabled_plugins"
	cat >"$home/rabbitmq.conf" <<-EOF
		listeners.tcp.1 = 127.0.0.1:${amqp[rabbitmq]}
		mqtt.listeners.tcp.1 = 127.0.0.1:${mqtt[rabbitmq]}
		stomp.listeners.tcp.1 = 127.0.0.1:${stomp[rabbitmq]}
	EOF
	# The script under lib does not change the user, so the data may be private.
	HOME=$home RABBITMQ_NODENAME=bench-peer@localhost RABBITMQ_CONFIG_FILE=$home/rabbitmq.conf \
		RABBITMQ_MNESIA_BASE=$home/data RABBITMQ_LOG_BASE=$home/logs RABBITMQ_PID_FILE=$home/pid \
		RABBITMQ_ENABLED_PLUGINS_FILE=$home/enabled_plugins \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='-kernel inet_dist_use_interface {127,0,0,1}' \
		setsid $rabbitmq_bin/rabbitmq-server >"$home/log" 2>&1 </dev/null &
	await rabbitmq "${stomp[rabbitmq]}"
}

# await NAME PORT: until it listens, or its process ends.
await() {
	local i pid
	for ((i = 0; i < 600; i++)); do
		if listens "$2" && [[ -s $dir/$1/pid ]]; then
			echo "$1 127.0.0.1:$2 $(cat "$dir/$1/pid")${openwire[$1]:+ openwire=127.0.0.1:${openwire[$1]}}${amqp[$1]:+ amqp=127.0.0.1:${amqp[$1]}}"
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
	[[ -n ${stomp[$peer]:-} ]] || { echo "unknown peer $peer" >&2; exit 2; }
done

case ${1:-} in
install) for peer in "${peers[@]}"; do install_one "$peer"; done ;;
start) for peer in "${peers[@]}"; do "start_$peer"; done ;;
stop) for peer in "${peers[@]}"; do stop_one "$peer"; done ;;
clean)
	for peer in "${!stomp[@]}"; do
		[[ ! -e $dir/$peer ]] || stop_one "$peer"
		rm -rf "${dir:?}/$peer"
	done
	rmdir "$dir" 2>/dev/null || true
	;;
*)
	sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
	exit 2
	;;
esac
