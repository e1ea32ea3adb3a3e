# shellcheck shell=bash disable=SC2154 # the variables are the caller's
#
# How an installation is built, by `make install` and for the Debian package alike. The caller sets
#   root      this checkout
#   destdir   below which all goes, or nothing
#   prefix    where the venv will lie, and built, where it is built aside: $destdir$prefix.new
#   config    the settings file
#   work      an empty folder

# Only what belongs to the package, so that no leftover of an earlier build gets in.
copy_sources() {
    cp -r "$root"/{pyproject.toml,README.md,LICENSE,synguard} "$1"
    PYTHONPATH=$root /usr/bin/python3 -B -c 'from synguard.commit import commit_of; print(commit_of() or "")' \
        >"$work/commit.txt"
    mv "$work/commit.txt" "$1/synguard/commit.txt"
}

build_venv() {
    local sources=$work/sources
    mkdir "$sources"
    copy_sources "$sources"
    rm -rf "$built"
    mkdir -p "$built"
    /usr/bin/python3 -m venv --system-site-packages "$built"
    "$built/bin/python3" -m pip install -qq --disable-pip-version-check --root-user-action=ignore \
        --no-compile "$sources"
}

# The venv names its own place in its scripts and its configuration.
settle_venv() {
    grep -rlIF "$built" "$built/bin" "$built/pyvenv.cfg" | xargs -r sed -i "s|$built|$prefix|g"
}

write_config() {
    mkdir -p "$destdir${config%/*}"
    "$built/bin/python3" -c 'from synguard.cli import main; main()' config default >"$work/synguard.toml"
    install -m 0644 "$work/synguard.toml" "$destdir$config"
}

# Where each shell looks; one that is installed later finds it, too.
write_completions() {
    local shell file
    while read -r shell file; do
        "$built/bin/python3" -c 'from synguard.cli import main; main()' completion "$shell" >"$work/$shell"
        install -D -m 0644 "$work/$shell" "$destdir/usr/share/$file"
    done <<'EOF'
bash bash-completion/completions/synguard
zsh zsh/vendor-completions/_synguard
fish fish/vendor_completions.d/synguard.fish
EOF
}
