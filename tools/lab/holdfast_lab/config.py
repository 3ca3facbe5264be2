"""Configuration files of the lab's nodes."""


def device(options, number, interface):
    if options["device"] == "af_xdp":
        extra = f",queue_count={options['workers']}" if options["workers"] > 1 else ""
        return f"net_af_xdp{number},iface={interface},busy_budget=0{extra}"
    return f"net_af_packet{number},iface={interface}"


def ring_port(options):
    if options["ring"] == "dpdk":
        return f'device = "{device(options, 2, "ring")}"'
    return 'interface = "ring"'


def for_node(world, node):
    o = world.options
    index = world.nodes.index(node)
    order = ", ".join(f'"{n}"' for n in world.nodes)
    text = f"""# Made by the lab.
[node]
name = "{node}"
run_dir = "{world.run_dir(node)}"
[cluster]
name = "{world.name}"
secret_file = "{world.state.directory}/secret"
copies = {o['copies']}
heartbeat = "{o['heartbeat']}"
misses = {o['misses']}
solo = "{o['solo']}"
stall = "{o['stall']}"
[ring]
transport = "{o['ring']}"
{ring_port(o)}
group = "239.192.0.1"
port = 7946
ack = "{o['ack']}"
[ring.loss]
percent = {float(o['loss'])}
seed = {o['seed']}
[dpdk]
huge_pages = false
memory = "192MiB"
[port.front]
device = "{device(o, 0, 'front')}"
[port.back]
device = "{device(o, 1, 'back')}"
address = ["203.0.113.{51 + index}", "2001:db8:2::{51 + index}"]
[worker]
count = {o['workers']}
cores = [{', '.join(str(w % 2) for w in range(o['workers']))}]
sessions = 65536
idle = "sleep"
[metrics]
listen = "127.0.0.1:9477"
[[group]]
id = 1
order = [{order}]
"""
    for i, n in enumerate(world.nodes):
        repository = "repository = true\n" if n in o.get("repositories", []) else ""
        text += f'[[cluster.node]]\nid = {i}\nname = "{n}"\nring = "192.0.2.{i + 1}"\n{repository}'
    for name, port in (("web", 80), ("stream", 9000)):
        text += f"""[[service]]
name = "{name}"
group = 1
vip = ["198.51.100.10", "2001:db8:1::10"]
port = {port}
mode = "forward"
commit = "{o['commit']}"
nudge = {str(o['nudge']).lower()}
pool = ["203.0.113.{200 if name == 'web' else 201}", "2001:db8:2::{200 if name == 'web' else 201}"]
"""
        for i, b in enumerate(world.backends):
            for family, address in (("", f"203.0.113.{11 + i}"), ("-v6", f"2001:db8:2::{11 + i}")):
                text += f'[[service.backend]]\nname = "{b}{family}"\naddress = "{address}"\nport = {port}\n'
    return text
