#!/bin/bash
# Real Kafka brokers on loopback, for tests and for trying out. Each cluster is a folder: any number may run at once.
# usage: scripts/kafka.sh COMMAND [ARGUMENTS]
#   fetch [VERSION…]          gets the brokers from Maven Central once; afterwards no network is needed
#   start FOLDER [OPTIONS]    makes the cluster if the folder has none, starts what does not run, waits until it is ready
#       --nodes 1|3           default 1; three keep three copies, of which two must have every record
#       --port NUMBER         default 19092; node N uses 5 ports from NUMBER + 10 × (N − 1), all below 32768
#       --version VERSION     default 4.3.1
#       --proxy PORT          one more listener, which node 1 advertises at PORT: for what passes its bytes on
#       --secure              SASL_SSL, SSL and SASL_PLAINTEXT listeners, users and ACLs beside the open one
#       --heap SIZE, --processors COUNT    of each node, default 256m and 1
#       --set KEY=VALUE       into the configuration of each broker; may be repeated
#   up FOLDER N | kill FOLDER N | term FOLDER N | pause FOLDER N | cont FOLDER N | pid FOLDER N     one node
#   ready FOLDER              waits until each node that runs names all of them
#   brokers FOLDER            what goes into `kafka://…`, for one cluster
#   tool FOLDER NAME …        a tool of Kafka's own: topics, groups, acls, configs, console-consumer, or a class
#   stop FOLDER | wipe FOLDER SIGTERM, data stays | SIGKILL, data goes
#   guard FOLDER              waits for the end of its standard input, then wipes: a test's brokers end with the test
# Kept in ${MAILQ_TEST_CACHE:-~/.cache/mailq-tests}.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "$0")")/.." && pwd)
cache=${MAILQ_TEST_CACHE:-$HOME/.cache/mailq-tests}
newest=4.3.1
oldest=3.9.2
ready_seconds=90

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1 || fail "no $1, which Kafka brokers for tests need" "sudo apt-get install -y $2"
}

have_java() {
    have java default-jre-headless
    local found
    found=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p')
    [ "${found:-0}" -ge 17 ] ||
        fail "Java ${found:-of an unknown version} is too old, brokers need 17" "sudo apt-get install -y default-jre-headless"
}

# fetch VERSION: the folder appears under its name when it is complete, so two at once do no harm.
fetch() {
    local version=$1 folder=$cache/kafka/$1 partial=$cache/kafka/$1.partial.$$
    [ ! -d "$folder" ] || return 0
    have mvn maven
    echo "fetching Kafka $version from Maven Central into $folder" >&2
    mkdir -p "$partial"
    cp "$root/tests/kafka/pom.xml" "$partial/"
    if ! mvn --batch-mode --quiet --strict-checksums --file "$partial/pom.xml" "-Dkafka.version=$version" \
        org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
        -DincludeScope=runtime "-DoutputDirectory=$partial/jars" >"$partial/log" 2>&1; then
        tail -n 5 "$partial/log" >&2
        rm -rf "$partial"
        fail "Kafka $version could not be fetched from Maven Central" "the first run needs the network, later ones do not"
    fi
    mv -T "$partial" "$folder" 2>/dev/null || rm -rf "$partial"
}

# java_for VERSION ARGUMENTS…
java_for() {
    local version=$1
    shift
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "-Dlog4j2.configurationFile=$root/tests/kafka/log4j2.properties" \
        -cp "$cache/kafka/$version/jars/*" "$@"
}

# value KEY: of the cluster in $folder.
value() {
    sed -n "s/^$1=//p" "$folder/cluster"
}

open_folder() {
    folder=$1
    [ -f "$folder/cluster" ] || fail "no cluster in \`$folder\`" "scripts/kafka.sh start $folder"
    nodes=$(value nodes) base=$(value port) version=$(value version) secure=$(value secure) proxy=$(value proxy)
}

# port N OFFSET: 0 open, 1 controller, 2 SASL_SSL, 3 SSL with a client's certificate, 4 SASL_PLAINTEXT, 5 proxied.
port() {
    echo $((base + 10 * ($1 - 1) + $2))
}

# alive N: its process number, if it is still that node.
alive() {
    local number
    number=$(cat "$folder/node-$1.pid" 2>/dev/null) || return 1
    tr '\0' ' ' 2>/dev/null <"/proc/$number/cmdline" | grep -qF "$folder/node-$1.properties" || return 1
    echo "$number"
}

every_node() {
    seq "$nodes"
}

brokers() {
    local n list=""
    for n in $(every_node); do list=$list,127.0.0.1:$(port "$n" "${1:-0}"); done
    echo "${list#,}"
}

# A certificate authority, and from it one certificate for the brokers and one for a client called `mailq`.
certificates() {
    local tls=$folder/tls name
    mkdir -p "$tls"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=mailq test authority" \
        -keyout "$tls/ca.key" -out "$tls/ca.pem" 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$tls/names"
    for name in broker mailq; do
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$name" \
            -keyout "$tls/$name.key" -out "$tls/$name.request" 2>/dev/null
        openssl x509 -req -in "$tls/$name.request" -CA "$tls/ca.pem" -CAkey "$tls/ca.key" -CAcreateserial -days 3650 \
            -extfile "$tls/names" -out "$tls/$name.pem" 2>/dev/null
        cat "$tls/$name.key" "$tls/$name.pem" >"$tls/$name.both.pem"
    done
}

# Everyone on the open listener is ANONYMOUS and may do everything; the others need ACLs.
secure_properties() {
    local login=org.apache.kafka.common.security
    cat <<END
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN,OAUTHBEARER
ssl.keystore.type=PEM
ssl.keystore.location=$folder/tls/broker.both.pem
ssl.truststore.type=PEM
ssl.truststore.location=$folder/tls/ca.pem
ssl.principal.mapping.rules=RULE:^CN=(.*)\$/\$1/
listener.name.ssl.ssl.client.auth=required
END
    for listener in sasl_ssl sasl_plaintext; do
        cat <<END
listener.name.$listener.scram-sha-256.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.$listener.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.$listener.plain.sasl.jaas.config=$login.plain.PlainLoginModule required user_mailq="mailq-secret";
listener.name.$listener.oauthbearer.sasl.jaas.config=$login.oauthbearer.OAuthBearerLoginModule required;
END
    done
}

# properties N: small buffers, few threads, and short waits where Kafka waits for its own comfort.
properties() {
    local own=PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,PROXIED:PLAINTEXT
    local n=$1 voters="" i listeners open advertised copies=$nodes in_sync=$((nodes > 1 ? 2 : 1))
    for i in $(every_node); do voters=$voters,$i@127.0.0.1:$(port "$i" 1); done
    open=PLAINTEXT://127.0.0.1:$(port "$n" 0)
    if [ "$secure" = yes ]; then
        open=$open,SASL_SSL://127.0.0.1:$(port "$n" 2),SSL://127.0.0.1:$(port "$n" 3)
        open=$open,SASL_PLAINTEXT://127.0.0.1:$(port "$n" 4)
    fi
    listeners=$open,CONTROLLER://127.0.0.1:$(port "$n" 1) advertised=$open
    if [ -n "$proxy" ] && [ "$n" = 1 ]; then
        listeners=$listeners,PROXIED://127.0.0.1:$(port "$n" 5)
        advertised=$advertised,PROXIED://127.0.0.1:$proxy
    fi
    cat <<END
process.roles=broker,controller
node.id=$n
controller.quorum.voters=${voters#,}
listeners=$listeners
advertised.listeners=$advertised
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,$own
log.dirs=$folder/node-$n
auto.create.topics.enable=false
default.replication.factor=$copies
min.insync.replicas=$in_sync
offsets.topic.replication.factor=$copies
offsets.topic.num.partitions=3
offsets.retention.check.interval.ms=5000
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$in_sync
transaction.state.log.num.partitions=3
share.coordinator.state.topic.replication.factor=$copies
share.coordinator.state.topic.min.isr=$in_sync
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=1000
num.network.threads=1
num.io.threads=2
num.replica.fetchers=1
num.recovery.threads.per.data.dir=1
log.segment.bytes=67108864
log.index.size.max.bytes=1048576
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=4194304
END
    [ "$secure" != yes ] || secure_properties
    sed -n 's/^set=//p' "$folder/cluster"
}

# create FOLDER OPTIONS…
create() {
    local set=""
    nodes=1 base=19092 version=$newest secure=no proxy=""
    local heap=256m processors=1
    while [ $# -gt 0 ]; do
        case $1 in
        --nodes) nodes=$2 ;;
        --port) base=$2 ;;
        --version) version=$2 ;;
        --heap) heap=$2 ;;
        --processors) processors=$2 ;;
        --proxy) proxy=$2 ;;
        --set) set=$set"set=$2"$'\n' ;;
        --secure) secure=yes && shift && continue ;;
        *) fail "unknown option \`$1\`" "scripts/kafka.sh without arguments lists them" ;;
        esac
        shift 2
    done
    [ $((base + 10 * nodes)) -le 32768 ] ||
        fail "ports from $base on may be taken by outgoing connections" "--port below 32700"
    fetch "$version"
    [ "$secure" = no ] || { have openssl openssl && certificates; }
    printf '%s\n' "nodes=$nodes" "port=$base" "version=$version" "secure=$secure" "proxy=$proxy" \
        "heap=$heap" "processors=$processors" "$set" >"$folder/cluster"
    for n in $(every_node); do format "$n" & done
    wait
    for n in $(every_node); do
        [ ! -f "$folder/node-$n/meta.properties" ] || continue
        cat "$folder/node-$n.format" >&2
        rm -f "$folder/cluster"
        fail "node $n could not be set up"
    done
}

# format N: users are part of the first metadata, so that they are there before any client is.
format() {
    local n=$1 users=()
    [ "$secure" != yes ] || users=(--add-scram "SCRAM-SHA-256=[name=mailq,password=mailq-secret]"
        --add-scram "SCRAM-SHA-512=[name=mailq,password=mailq-secret]")
    properties "$n" >"$folder/node-$n.properties"
    java_for "$version" -Xmx128m kafka.tools.StorageTool format --cluster-id bWFpbHEtdGVzdC1jbHVzdA \
        --config "$folder/node-$n.properties" "${users[@]}" >"$folder/node-$n.format" 2>&1 || true
}

up() {
    local n=$1 heap
    ! alive "$n" >/dev/null || return 0
    if timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"' "$(port "$n" 0)" 2>/dev/null; then
        fail "port $(port "$n" 0) is in use by another program" "scripts/kafka.sh start ANOTHER_FOLDER --port NUMBER"
    fi
    heap=$(value heap)
    setsid java "-Xms$heap" "-Xmx$heap" -Xss512k -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
        -XX:MaxDirectMemorySize=128m -XX:MaxMetaspaceSize=128m -XX:ReservedCodeCacheSize=64m \
        "-XX:ActiveProcessorCount=$(value processors)" \
        "-Dlog4j2.configurationFile=$root/tests/kafka/log4j2.properties" \
        -cp "$cache/kafka/$version/jars/*" kafka.Kafka "$folder/node-$n.properties" \
        >>"$folder/node-$n.log" 2>&1 </dev/null &
    local number=$!
    echo "$number" >"$folder/node-$n.pid" || true
    # The guard writes `ended` before it looks for numbers: either it sees this one, or this sees that.
    if [ ! -d "$folder" ] || [ -e "$folder/ended" ]; then
        kill -KILL "$number"
        exit 1
    fi
    # Until the child is Java it has the name of this script.
    until alive "$n" >/dev/null || ! kill -0 "$number" 2>/dev/null; do sleep 0.02; done
}

# named PORT: how many brokers the one at PORT knows, asked for its metadata (API 3 version 1, no topics) by hand.
named() {
    local reply
    reply=$(timeout 2 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0" || exit 1
        printf "\0\0\0\16\0\3\0\1\0\0\0\0\377\377\0\0\0\0" >&3
        head -c 12 <&3 | od -An -tu1 -j8' "$1" 2>/dev/null) || return 1
    [ -n "$reply" ] || return 1
    set -- $reply
    echo "$4"
}

is_stopped() {
    grep -q '^State:[[:space:]]*T' "/proc/$1/status" 2>/dev/null
}

# Nodes that were killed or stopped on purpose are not waited for.
ready() {
    local until=$((SECONDS + ready_seconds)) n number running=() open wanted="$*"
    for n in $(every_node); do
        if number=$(alive "$n"); then is_stopped "$number" || running+=("$n"); fi
    done
    for n in ${wanted:-${running[*]}}; do
        while :; do
            if ! alive "$n" >/dev/null; then
                grep -m 5 -E 'ERROR|FATAL|Exception' "$folder/node-$n.log" >&2 || true
                fail "node $n ended"
            fi
            open=$(named "$(port "$n" 0)") || open=0
            [ "$open" -lt "${#running[@]}" ] || break
            if [ "$SECONDS" -ge "$until" ]; then
                tail -n 5 "$folder/node-$n.log" >&2
                fail "node $n is not ready after $ready_seconds s"
            fi
            sleep 0.1
        done
    done
}

# tool NAME ARGUMENTS…: by the name that it has in Kafka's own `bin/`, without `kafka-` and `.sh`.
tool() {
    local class=$1
    shift
    case $class in
    topics) class=org.apache.kafka.tools.TopicCommand ;;
    groups) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    configs) class=kafka.admin.ConfigCommand ;;
    console-consumer) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
    acls) case $version in 3.*) class=kafka.admin.AclCommand ;; *) class=org.apache.kafka.tools.AclCommand ;; esac ;;
    esac
    java_for "$version" -Xmx128m -Dmailq.log=error "$class" "$@"
}

# signal NAME N
signal() {
    local number
    number=$(alive "$2") || fail "node $2 of \`$folder\` is not running"
    kill "-$1" "$number"
    case $1 in
    KILL) while alive "$2" >/dev/null; do sleep 0.02; done ;;
    # Each thread stops when it is next scheduled.
    STOP) while grep -qs '^State:[[:space:]][^TZ]' "/proc/$number"/task/*/status; do sleep 0.02; done ;;
    esac
}

stop() {
    local n number until=$((SECONDS + 15))
    for n in $(every_node); do
        number=$(alive "$n") || continue
        kill -TERM "$number" && kill -CONT "$number"
    done
    for n in $(every_node); do
        while number=$(alive "$n"); do
            [ "$SECONDS" -lt "$until" ] || kill -KILL "$number"
            sleep 0.05
        done
    done
}

# Also for a folder whose cluster is only half made.
wipe() {
    local n number
    [ -d "$folder" ] || return 0
    : >"$folder/ended"
    for n in 1 2 3; do
        while number=$(alive "$n"); do
            kill -KILL "$number" || true
            sleep 0.02
        done
    done
    rm -rf "$folder" 2>/dev/null || { sleep 1 && rm -rf "$folder"; }
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
fetch)
    have_java
    [ $# -gt 0 ] || set -- "$newest" "$oldest"
    for version in "$@"; do fetch "$version"; done
    ;;
start)
    [ $# -gt 0 ] || fail "start needs a folder"
    have_java
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
    shift
    [ -f "$folder/cluster" ] || create "$@"
    open_folder "$folder"
    for n in $(every_node); do up "$n"; done
    ready
    ;;
guard)
    trap '' HUP INT TERM
    folder=$(cd "$1" && pwd)
    cat >/dev/null
    wipe
    ;;
wipe)
    folder=$(readlink -f "$1")
    wipe
    ;;
up | kill | term | pause | cont | pid | ready | brokers | tool | stop)
    [ $# -gt 0 ] || fail "$command needs a folder"
    open_folder "$(readlink -f "$1")"
    shift
    case $command in
    up) up "$1" ;;
    kill) signal KILL "$1" ;;
    term) signal TERM "$1" ;;
    pause) signal STOP "$1" ;;
    cont) signal CONT "$1" ;;
    pid) alive "$1" ;;
    ready) ready "$@" ;;
    brokers) brokers "$@" ;;
    tool) tool "$@" ;;
    stop) stop ;;
    esac
    ;;
*)
    sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "$0"
    [ -z "$command" ] || exit 2
    ;;
esac
