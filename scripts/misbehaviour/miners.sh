# What others make of a miner that cheats: sourced by scripts/misbehave-demo.

# A field of a node's status.
field() { at "$1" --output json status | sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},*$/\1/p" | head -n 1; }
# Whether the three are on one chain, and nobody mines any more.
rest_together() {
    local name hash
    hash=$(field anna hash)
    for name in $HONEST; do
        [ -n "$hash" ] && [ "$(field "$name" hash)" = "$hash" ] && [ "$(field "$name" mining)" = false ] || return 1
        [ "$(at "$name" --output json status | sed -n 's/^ *"transactions": \([0-9]*\),*$/\1/p' | head -n 1)" = 0 ] || return 1
    done
}
sees_two() { [ "$(log "$1" | grep -c 'a peer is connected')" -ge 2 ]; }

# play_miners KIND: four nodes mine, mallory misbehaves in this way; the other three put records on the chain.
play_miners() {
    local kind=$1 name number id
    network=$work/$kind
    mkdir -p "$network"
    printf '\n== %s: mallory %s\n' "$kind" "$(listed | sed -n "s/^$kind //p")"
    for name in $NAMES; do "$conclave" --home "$network/$name" init >/dev/null; done
    "$conclave" genesis new --name "$kind" --engine proof-of-work --leading-zero-bits 14 --block-interval-ms 500 --depth 3 \
        -o "$network/genesis.toml" >/dev/null
    mines="--mine 1 --admission-bits 8"
    for name in $HONEST; do start_node "$name"; done
    start_node mallory --misbehave "$kind" --i-know-this-is-an-attack
    mines=
    for name in $HONEST; do
        "$conclave" key new "$network/$name.key" >/dev/null
        await sees_two "$name" || fail "$name does not see the others" "$network/$name/log"
    done
    : >"$network/records"
    for number in 1 2 3 4 5; do
        for name in $HONEST; do
            at "$name" --output json tx record --key "$network/$name.key" "note $number of $name" | grep -o '"[0-9a-f]\{64\}"' |
                head -n 1 | tr -d '"' >>"$network/records" || {
                broken=$((broken + 1))
                printf -- '-- NOT MINED: note %s of %s\n' "$number" "$name"
            }
        done
    done
    await rest_together || {
        broken=$((broken + 1))
        printf -- '-- NOT ON ONE CHAIN: anna %s, ben %s, cleo %s\n' "$(field anna height)" "$(field ben height)" "$(field cleo height)"
    }
    while read -r id; do
        for name in $HONEST; do
            has_decided "$name" "$id" || {
                broken=$((broken + 1))
                printf -- '-- LOST at %s: %s\n' "$name" "$id"
            }
        done
    done <"$network/records"
    printf -- '-- on the chain: %s records in %s blocks; of %s forks the deepest undid %s blocks\n' "$(wc -l <"$network/records")" \
        "$(field anna height)" "$(field anna forks)" "$(for name in $HONEST; do field "$name" deepest; done | sort -n | tail -n 1)"
    printf -- '-- blamed on mallory:\n'
    blame "$(peer_id mallory)" | sed 's/^/   /'
    for name in $HONEST; do
        at "$name" export --out "$network/$name.chain" >/dev/null && "$conclave" verify "$network/$name.chain" \
            --genesis "$network/genesis.toml" >"$network/$name.verified" 2>&1 || {
            broken=$((broken + 1))
            printf -- '-- NOT GOOD: the export of %s\n' "$name"
        }
    done
    if cmp -s "$network/anna.verified" "$network/ben.verified" && cmp -s "$network/anna.verified" "$network/cleo.verified"; then
        printf -- '-- checked offline: the three tell the same; %s\n' "$(head -n 1 "$network/anna.verified")"
    else
        broken=$((broken + 1))
        printf -- '-- NOT THE SAME: what anna, ben and cleo export\n'
    fi
    stop_nodes
}
