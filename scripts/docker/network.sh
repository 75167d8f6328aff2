# shellcheck shell=bash disable=SC2154
# For scripts/docker-demo and scripts/chaos: a network of containers under a name of its own, and how to ask and to cut
# it. They set before: root (the project), work (a folder for files), purpose (a word), VALIDATORS (the names), keep
# (yes or no), and the functions fail, scene and say.

readonly PATIENCE=180 # seconds that anything may take; nothing takes that long when all is well
readonly HOME_INSIDE=/var/lib/conclave
project=conclave-$purpose-$$
network=${project}_conclave
far_side=${project}_far-side
elsewhere=${project}_elsewhere
compose_files=(--file "$root/compose.yaml")

command -v docker >/dev/null || fail "there is no docker" "Install Docker Engine with compose, then try again."
docker info >/dev/null 2>&1 || fail "docker does not answer" "Is its daemon running, and may you use it? Try: docker info"
docker image inspect "$CONCLAVE_IMAGE" >/dev/null 2>&1 ||
    fail "there is no image $CONCLAVE_IMAGE" "Make it first: scripts/docker-image, or docker build -t conclave:debian ."
if docker compose version >/dev/null 2>&1; then
    compose_program=(docker compose)
elif command -v docker-compose >/dev/null; then
    compose_program=(docker-compose)
else
    fail "there is no docker compose" "Install its plugin, or docker-compose 1.29 or newer."
fi
compose() { "${compose_program[@]}" --project-name "$project" "${compose_files[@]}" "$@"; }

# The containers, by the names of their nodes, and the names of those that compose does not know.
declare -A container
newcomers=()

bring_up() {
    # Containers read what is for them as another user.
    chmod 755 "$work"
    scene "a network of containers, $project, from $CONCLAVE_IMAGE"
    trap remove EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    compose up --detach >"$work/up" 2>&1 || fail "the network does not come up" "$(cat "$work/up")"
    for node in "${VALIDATORS[@]}" tracker observer-1; do
        container[$node]=$(compose ps --quiet "$node")
    done
    for node in "${VALIDATORS[@]}" tracker observer-1; do
        await "$node is healthy" is_healthy "$node"
    done
    say "all nodes are healthy"
    docker ps --filter "label=com.docker.compose.project=$project" --format '   {{.Names}}: {{.Status}}'
}

# Removes all that this network is made of, however the demo ends; its logs are shown if it failed.
remove() {
    status=$?
    trap - EXIT INT TERM HUP
    if [ "$status" -ne 0 ]; then
        compose logs --no-color homes >&2 || :
        for node in "${!container[@]}"; do
            printf '\n-- the last that %s logged\n' "$node" >&2
            docker logs --tail 15 "${container[$node]}" >&2 2>&1 || :
        done
    fi
    if [ "$keep" = yes ] && [ "$status" -eq 0 ]; then
        local command="CONCLAVE_IMAGE=$CONCLAVE_IMAGE ${compose_program[*]} --project-name $project"
        printf '\nThe network keeps running:\n  %s\n  %s\n' "$command run --rm client poll list" "$command down --volumes"
        exit 0
    fi
    printf '\n== removing everything\n'
    {
        for newcomer in "${newcomers[@]}"; do docker rm --force --volumes "${project}_$newcomer" || :; done
        for node in "${!container[@]}"; do docker unpause "${container[$node]}" || :; done
        compose down --volumes --remove-orphans --timeout 5 || :
        for newcomer in "${newcomers[@]}"; do docker volume rm "${project}_$newcomer" || :; done
        docker network rm "$far_side" "$elsewhere" || :
    } >/dev/null 2>&1
    rm -rf "$work"
    left=$(docker ps --all --quiet --filter "name=$project" && docker volume ls --quiet --filter "name=$project" &&
        docker network ls --quiet --filter "name=$project")
    if [ -n "$left" ]; then
        printf '%s: this is left of it: %s\n' "$purpose" "$left" >&2
        status=1
    fi
    exit "$status"
}

# matches PATTERN: whether a line of the input does, all of which is read: who writes it must not fail for want of a reader.
matches() { grep "$@" >/dev/null; }

# await WHAT COMMAND…: until the command succeeds.
await() {
    local what=$1 deadline=$((SECONDS + PATIENCE))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$deadline" ] || fail "not within $PATIENCE seconds: $what"
        sleep 0.3
    done
}

# at NODE ARGUMENT…: a command inside a node's container, with the node's own keys.
at() {
    local node=$1
    shift
    docker exec "${container[$node]}" conclave "$@"
}

# client ARGUMENT…: a command from a container of its own, through all validators unless --api names one.
client() {
    compose run --rm -T client "$@" 2>"$work/client.stderr" && return
    cat "$work/client.stderr" >&2
    return 1
}

# offline ARGUMENT…: a command in the client's home without any network.
offline() { docker run --rm --network none --volume "${project}_client:$HOME_INSIDE" "$CONCLAVE_IMAGE" "$@"; }

# field NODE NAME: a number or a word of what a node says of itself.
field() {
    at "$1" --output json status 2>/dev/null | sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},*$/\1/p" | head -n 1
}

# newcomer NAME VARIABLE=VALUE INIT…: a container that compose.yaml does not have, with fresh keys, which knows all
# validators. What `init` with these arguments says is in $work/NAME.init; the variable is of its environment.
newcomer() {
    local name=$1 variable=$2 peers
    shift 2
    newcomers+=("$name")
    docker volume create "${project}_$name" >/dev/null
    docker run --rm --network none --volume "${project}_$name:$HOME_INSIDE" "$CONCLAVE_IMAGE" init "$@" >"$work/$name.init"
    peers=$(for node in "${VALIDATORS[@]}"; do printf ',/dns4/%s/tcp/7700/p2p/%s' "$node" "$(field "$node" peer_id)"; done)
    container[$name]=$(docker create --name "${project}_$name" --network "$network" --network-alias "$name" \
        --volume "${project}_$name:$HOME_INSIDE" --cap-drop ALL --security-opt no-new-privileges:true --read-only \
        --env "CONCLAVE_PEERS=${peers#,}" --env "$variable" "$CONCLAVE_IMAGE")
    docker cp "${container[validator-1]}:$HOME_INSIDE/genesis.toml" "$work/genesis.toml" >/dev/null
    docker cp "$work/genesis.toml" "${container[$name]}:$HOME_INSIDE/genesis.toml" >/dev/null
    docker start "${container[$name]}" >/dev/null
}

# beside NAME NETWORK HOME OPTION… IMAGE ARGUMENT…: runs a container beside the nodes, with the home of HOME to read.
beside() {
    local name=$1 on=$2 home=$3
    shift 3
    newcomers+=("$name")
    docker run --name "${project}_$name" --network "$on" --volume "${project}_$home:$HOME_INSIDE:ro" --cap-drop ALL \
        --security-opt no-new-privileges:true --read-only "$@"
}

# number NAME <JSON: the number, or true or false, that a field of this name has first.
number() { sed -n "s/^ *\"$1\": \([0-9.a-z]*\),*$/\1/p" | head -n 1; }

# measured NODE NAME: what a node measures, the sum over all labels.
measured() {
    at "$1" status --metrics | awk -v name="$2" '{ split($1, part, "{") } part[1] == name { sum += $2 } END { print sum + 0 }'
}

# Exactly the conditions that scenes wait for.
is_healthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "${container[$1]}")" = healthy ]; }
is_unhealthy() { [ "$(docker inspect --format '{{.State.Health.Status}}' "${container[$1]}")" = unhealthy ]; }
is_ready() { at "$1" status --ready >/dev/null 2>&1; }
# That it is halted, to everybody who may ask: in its status, in its metrics, and in its log since that second.
says_it_is_halted() {
    is_halted "$1" && [ "$(measured "$1" conclave_halted)" = 1 ] &&
        docker logs --since "$2" "${container[$1]}" 2>&1 | matches 'the height cannot close'
}
is_halted() { [ -n "$(field "$1" halted)" ] && [ "$(field "$1" halted)" != null ]; }
is_at_least() { [ "$(field "$1" height || echo 0)" -ge "$2" ] 2>/dev/null; }
has_pending() { [ "$(at "$1" --output json status 2>/dev/null | sed -n 's/^ *"transactions": \([0-9]*\),*$/\1/p')" -gt 0 ] 2>/dev/null; }
# All nodes named say the same height, block and state.
tip() { at "$1" --output json status 2>/dev/null | grep -E '^ *"(height|hash|state|block_height)":'; }
are_one() {
    local first other
    first=$(tip "$1") && [ -n "$first" ] || return 1
    for node in "${@:2}"; do
        other=$(tip "$node") && [ "$other" = "$first" ] || return 1
    done
}

# What a record says, decided through a node: keeps the receipt, and prints where it is.
record() {
    at "$1" --output json tx record "$2" >"$work/receipt" || fail "$1 does not have a record decided: $2"
    cat "$work/receipt" >>"$work/receipts"
    printf '   %s: "%s" is decided at height %s\n' "$1" "$2" "$(number height <"$work/receipt")"
}
# The same, which goes on waiting for its decision; all of them are waited for by records_are_decided.
record_later() {
    later+=("$1")
    at "$1" --output json tx record "$2" >"$work/later-${#later[@]}" &
    waiting+=($!)
}
later=()
waiting=()
records_are_decided() {
    for job in "${waiting[@]}"; do wait "$job" || fail "a record that waited is not decided: ${later[*]}"; done
    cat "$work"/later-* >>"$work/receipts"
    rm "$work"/later-*
    later=()
    waiting=()
}
# Everything that was acknowledged so far is in the export of each of these nodes, once, where it was said to be.
nothing_is_lost() {
    local export
    exports=$((${exports:-0} + 1))
    for node in "$@"; do
        export=$HOME_INSIDE/$exports-$node.chain
        client --api "http://$node:7780" export --out "$export" >/dev/null || fail "$node exports nothing"
        docker run --rm --network none --volume "${project}_client:$HOME_INSIDE" --volume "$work/receipts:/receipts:ro" \
            "$CONCLAVE_IMAGE" verify "$export" --receipts /receipts >"$work/$node.verified" ||
            fail "what $node exports does not hold what was acknowledged"
        cmp -s "$work/$1.verified" "$work/$node.verified" || fail "$1 and $node tell different chains"
    done
    grep -E '^(heights|transactions|receipts|tip)' "$work/$1.verified" | sed 's/^/   /'
}

# Moves nodes to the far side, which nobody of the near side reaches, or back. Names go with them.
cut_off() {
    docker network inspect "$far_side" >/dev/null 2>&1 || docker network create --internal "$far_side" >/dev/null
    for node in "$@"; do
        docker network disconnect "$network" "${container[$node]}"
        docker network connect --alias "$node" "$far_side" "${container[$node]}"
    done
}
join_again() {
    for node in "$@"; do
        docker network disconnect "$far_side" "${container[$node]}"
        docker network connect --alias "$node" "$network" "${container[$node]}"
    done
}
