# shellcheck shell=bash disable=SC2154
# For scripts/interop-environment and scripts/openapi-environment: a Python environment in target/ with one package from
# PyPI. They set before: wanted (the package and its version), module (what is imported of it), venv, packages (what
# apt-get installs where something is missing and this runs as root), left_out (what does without it), and a function
# is_missing that prints what else is missing for it, one a line.

log=$venv.log

skip() {
    echo "SKIPPED: no ${wanted%%=*}, so $left_out: $1" >&2
    [ ! -s "$log" ] || tail -n 5 "$log" >&2
    exit 1
}

has_module() { "$venv/bin/python" -c "import $module"; }

# Makes it if it is not there; ends the script with 1, and says what is missing, where it cannot be made.
make_environment() {
    if [ "$(cat "$venv/.made" 2>/dev/null)" = "$wanted" ] && has_module 2>/dev/null; then
        return
    fi
    mkdir -p target
    : >"$log"
    if ! { python3 -c 'import venv, ensurepip' >/dev/null 2>&1 && [ -z "$(is_missing)" ]; } && [ "$(id -u)" = 0 ]; then
        { apt-get update && apt-get install -y --no-install-recommends $packages; } >>"$log" 2>&1 ||
            skip "apt-get cannot install $packages"
    fi
    command -v python3 >/dev/null || skip "there is no python3"
    [ -z "$(is_missing)" ] || skip "$(is_missing | head -n 1)"
    rm -rf "$venv"
    python3 -m venv "$venv" >>"$log" 2>&1 || skip "python3 -m venv fails (install python3-venv)"
    "$venv/bin/pip" install --disable-pip-version-check --quiet "$wanted" >>"$log" 2>&1 || skip "pip cannot install $wanted"
    has_module >>"$log" 2>&1 || skip "what pip has installed cannot be imported"
    echo "$wanted" >"$venv/.made"
    echo "made $venv with $wanted"
}
