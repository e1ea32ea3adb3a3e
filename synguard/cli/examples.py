"""Examples of every command, which end its help: one line to type, and what it does."""

from __future__ import annotations

from collections.abc import Mapping

#: Commands as a newcomer meets them; one that is in none comes last.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Guard": ("run", "doctor", "config", "attach", "detach"),
    "Look": ("status", "top", "alerts", "explain", "report", "replay"),
    "Answer": ("respond", "block", "silence"),
    "Help": ("completion", "help"),
}

#: By the command's path, which is empty for ``synguard`` itself.
EXAMPLES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "": (
        ("sudo synguard doctor", "What keeps this machine from being guarded well?"),
        ("synguard status", "Is the probe attached, what does it see, what did it lose?"),
        ("synguard alerts --since 1d", "What went on during the last day, newest first."),
        ("synguard explain 7", "Why alert 7 was raised, and what was done about it."),
    ),
    "run": (
        ("sudo synguard run", "Guard the default route's interface, in dry-run."),
        ("sudo synguard run --interface eth0 --interface eth1", "Guard both sides of a gateway."),
        ("sudo synguard run --respond enforce", "Do what the settings allow, not only say it."),
    ),
    "alerts": (
        ("synguard alerts --since 1h", "What went on in the last hour, newest first."),
        (
            "synguard alerts --source 198.51.100.0/24 --since 2026-11-22T10:00Z",
            "Whatever overlaps these addresses, since a moment in UTC.",
        ),
        ("synguard alerts --state open --follow", "What goes on, and every change from now on."),
        (
            "synguard alerts --sort -peak_syn_per_s --limit 10 --format csv",
            "The ten strongest there were, for a spreadsheet.",
        ),
    ),
    "explain": (
        ("synguard explain 7", "The whole story of alert 7."),
        ("synguard explain 7 --local", "With times in this machine's time zone."),
        ("synguard explain 7 --format json", "All that is known of it, for a program."),
    ),
    "status": (
        ("synguard status", "How the probe sits, what it sees, what it lost."),
        ("synguard status --format json | jq .totals", "The totals since the probe was attached."),
    ),
    "top": (
        ("synguard top", "Watch live, until q."),
        ("synguard top --once", "One screen of it, as text."),
        ("synguard top --once --format json", "The same for a program."),
    ),
    "report": (
        ("synguard report 7 --output alert-7.html", "One alert, as one file to hand on."),
        ("synguard report --since 1d --output day.html", "All alerts of the last day."),
    ),
    "block": (
        ("synguard block list", "What is blocked, until when, and on whose word."),
        ("synguard block add 198.51.100.7 --ttl 1h", "Drop the SYNs of an address for an hour."),
        ("synguard block remove 198.51.100.7", "Let it in again."),
    ),
    "block list": (
        ("synguard block list", "What is blocked, until when, and on whose word."),
        ("synguard block list --sort -hits", "What caught most first."),
        ("synguard block list --format json", "The same for a program."),
    ),
    "block add": (
        ("synguard block add 198.51.100.7", "Drop an address's SYNs for ten minutes."),
        (
            'synguard block add 2001:db8:7::/48 --ttl 1d --reason "ticket 42"',
            "Drop a prefix's SYNs for a day, and say why.",
        ),
        ("synguard block add --file abusers.txt --ttl 1h", "All that a file lists, or none of it."),
    ),
    "block remove": (
        ("synguard block remove 198.51.100.7", "Let an address in again."),
        ("synguard block remove 2001:db8:7::/48", "Let a prefix in again, named as it was blocked."),
        ("synguard block remove 203.0.113.5:443", "End what is in force for a listener."),
    ),
    "block clear": (
        ("synguard block clear", "Let everybody in again."),
        ("synguard block clear --format json", "The same, with how many blocks ended."),
    ),
    "silence": (
        ('synguard silence add 203.0.113.5:443 --for 2h --reason "load test"', "Before a load test."),
        ("synguard silence list", "What is silenced, until when, and why."),
        ("synguard silence remove 203.0.113.5:443", "Hear of it again."),
    ),
    "silence list": (
        ("synguard silence list", "What is silenced, until when, and why."),
        ("synguard silence list --format json", "The same for a program."),
    ),
    "silence add": (
        ('synguard silence add 203.0.113.5:443 --for 2h --reason "load test"', "One listener."),
        ("synguard silence add '[2001:db8::5]:443'", "A listener of IPv6, for an hour."),
        ("synguard silence add 198.51.100.0/24 --for 1d", "Whatever comes from a prefix."),
    ),
    "silence remove": (
        ("synguard silence remove 203.0.113.5:443", "Hear of a listener again."),
        ("synguard silence remove 198.51.100.0/24", "Hear of a prefix again, named as it was silenced."),
    ),
    "respond": (
        ("synguard respond", "What may be done now, and how much is in force."),
        ("synguard respond enforce", "From now on do it, not only say it."),
        ("synguard respond off", "Touch nobody: all ends at once, people's blocks wait."),
    ),
    "attach": (
        ("sudo synguard attach", "Count on the default route's interface, until `synguard detach`."),
        ("sudo synguard attach --interface eth0", "The same on another; a daemon takes it over."),
    ),
    "detach": (
        ("sudo synguard detach", "Clean up after a daemon that was killed."),
        ("sudo synguard detach --interface eth0", "On one interface alone."),
    ),
    "config": (
        ("synguard config check /etc/synguard/synguard.toml", "Is the file in order?"),
        ("synguard config default > synguard.toml", "A commented file to begin with."),
    ),
    "config check": (
        ("synguard config check /etc/synguard/synguard.toml", "Is the file in order?"),
        (
            "synguard config check new.toml && sudo systemctl restart synguard",
            "Restart only with settings that hold.",
        ),
    ),
    "config default": (
        ("synguard config default > synguard.toml", "A commented file to begin with."),
        ("synguard config default | grep -A3 block_ttl", "What a setting is, and its default."),
    ),
    "doctor": (
        ("sudo synguard doctor", "What keeps this machine from being guarded well, and how to mend it."),
        ("sudo synguard doctor --interface eth1", "The same for another interface."),
        ("sudo synguard doctor --format json", "The findings for a program; exit 1 on an error."),
    ),
    "replay": (
        ("sudo synguard replay flood.pcap --protect 203.0.113.0/24", "What would a daemon have seen?"),
        (
            "sudo synguard replay flood.pcap --config stricter.toml",
            "The same with other thresholds.",
        ),
        (
            "tcpdump -i eth0 -w - -c 100000 tcp | sudo synguard replay -",
            "What comes in now, through a pipe.",
        ),
    ),
    "completion": (
        ("source <(synguard completion bash)", "This bash, until it ends."),
        (
            "synguard completion zsh > ~/.zfunc/_synguard",
            "Every zsh from now on, if ~/.zfunc is in its fpath.",
        ),
        (
            "synguard completion fish > ~/.config/fish/completions/synguard.fish",
            "Every fish from now on.",
        ),
    ),
    "help": (
        ("synguard help", "All commands."),
        ("synguard help block add", "One of them; the same as `synguard block add --help`."),
    ),
}
