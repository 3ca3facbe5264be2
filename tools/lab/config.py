"""holdfast.toml for a node of the lab, and nginx.conf for a backend."""
import json

from tools.lab import plan

TRANSPORTS = {"udp": "multicast", "unicast": "unicast", "dpdk": "dpdk"}


def value(v):
    """TOML's strings, numbers, booleans and lists are JSON's, as far as we need them."""
    return json.dumps(v)


def table(header, **keys):
    return f"[{header}]\n" + "".join(f"{k} = {value(v)}\n" for k, v in keys.items() if v is not None)


def device(options, number, interface, node, folder):
    if options.device == "memif" and interface != plan.RING:
        return (f"net_memif{number},role=client,id=0,rsize=11,socket-abstract=no,"
                f"socket={plan.memif_socket(folder, node, interface)}")
    # By default one queue, also for several workers: DPDK's AF_XDP driver counts "combined" channels, of which a veth has none.
    queues = f",qpairs={options.queues}" if options.queues > 1 else ""
    kind = "af_packet" if options.device == "memif" else options.device
    return f"net_{kind}{number},iface={interface}{queues}"


def certificates(folder):
    """[[service.certificate]] for each kind of key."""
    return "".join(table("[service.certificate]", chain=str(folder / f"{kind}.pem"), key=str(folder / f"{kind}.key"))
                   for kind in plan.KEY_KINDS)


def service(options, name, port, number, backends, folder):
    """One VIP service. Each has pool addresses of its own; all move together in group 1."""
    text = table("[service]", name=name, group=1, vip=[plan.VIP4, plan.VIP6], port=port, mode=options.mode,
                 commit=options.commit, nudge=options.nudge,
                 proxy_protocol=options.proxy_protocol if number == 0 and options.proxy_protocol != "off" else None,
                 durability=options.durability if options.durability != "state" else None,
                 pool=[f"203.0.113.{200 + number}", f"2001:db8:2::{200 + number}"],
                 health=None if options.health else False)
    if options.mode == "tls":
        text += table("service.tls", alpn=["http/1.1"]) + certificates(folder)
    if options.health:
        text += table("service.health", interval="200ms", timeout="150ms", rise=1, fall=2)
    for backend in backends:
        for family in (4, 6):
            text += table("[service.backend]", name=f"{backend.name}-v{family}", address=backend.address(family),
                          port=port, weight=1)
    return text


def generator_service(options):
    """What holdfast-gen is both ends of."""
    text = table("[service]", name="generator", group=1, vip=[plan.VIP4, plan.VIP6], port=plan.GENERATOR_PORT,
                 mode=options.mode, commit=options.commit, nudge=options.nudge, pool=plan.generator_pool(),
                 health=None if options.health else False)
    for i, address in enumerate(plan.generator_servers()):
        text += table("[service.backend]", name=f"generator-{i}", address=address.rsplit(":", 1)[0].strip("[]"),
                      port=plan.GENERATOR_PORT, weight=1)
    return text


def holdfast_toml(lab, folder, options, number):
    name = plan.node_names(options)[number]
    dpdk_ring = options.ring == "dpdk"
    parts = [
        table("node", name=name, run_dir=str(folder / name)),
        table("cluster", name=options.cluster, secret_file=str(folder / "secret"), copies=options.copies,
              heartbeat=options.heartbeat, misses=options.misses, stall=options.stall, solo=options.solo),
        *(table("[cluster.node]", id=i, name=n, ring=f"192.0.2.{1 + i}",
                repository=True if n == options.repository else None)
          for i, n in enumerate(plan.node_names(options))),
        table("ring", transport=TRANSPORTS[options.ring], interface=None if dpdk_ring else plan.RING,
              device=device(options, 2, plan.RING, name, folder) if dpdk_ring else None,
              group="239.192.0.1", port=7946, ack=options.ack),
        table("ring.loss", percent=options.loss_percent, seed=options.loss_seed + number)
        if options.loss_percent else "",
        table("dpdk", huge_pages=False, memory="192MiB"),
        table("port.front", device=device(options, 0, plan.FRONT, name, folder)),
        table("port.back", device=device(options, 1, plan.BACK, name, folder),
              address=plan.node_back_addresses(number)),
        table("worker", count=options.workers, cores=[plan.core_of(number, w) for w in range(options.workers)],
              sessions=options.sessions, tls_sessions=options.tls_sessions or None, idle=options.idle),
        table("metrics", listen="127.0.0.1:9477"),
        table("[group]", id=1, order=plan.node_names(options)),
    ]
    backends = [h for h in plan.hosts(options) if h.kind == "backend"]
    parts += [service(options, "web", plan.WEB_PORT, 0, backends, folder),
              service(options, "stream", plan.STREAM_PORT, 1, backends, folder)]
    parts += [service(options, f"port-{port}", port, 2 + i, backends, folder) for i, port in enumerate(options.extra_ports)]
    parts += [generator_service(options)] if options.generator else []
    return f"# Node {name} of lab {lab}, made by tools/lab.\n" + "\n".join(p for p in parts if p)


def nginx_conf(options, folder, backend, www):
    """/rate/<bytes a second>/<file>: paced at the server, in small steps (sendfile_max_chunk). /upload: a sink."""
    own = folder / backend
    told = " proxy_protocol" if options.proxy_protocol != "off" else ""
    log = f"""log_format told '$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port '
        '$remote_addr $connection $connection_requests $request_uri $status';
    access_log {own}/access.log told;""" if told else "access_log off;"
    return f"""user root;
daemon off;
worker_processes 1;
pid {own}/nginx.pid;
error_log {own}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
    {log}
    sendfile on;
    sendfile_max_chunk 16k;
    tcp_nodelay on;
    keepalive_timeout 600;
    client_max_body_size 0;
    client_body_temp_path {own}/body;
    proxy_temp_path {own}/proxy;
    fastcgi_temp_path {own}/fastcgi;
    uwsgi_temp_path {own}/uwsgi;
    scgi_temp_path {own}/scgi;
    server {{
        listen {plan.WEB_PORT} backlog=4096{told};
        listen [::]:{plan.WEB_PORT} backlog=4096{told};
        root {www};
        add_header X-Backend {backend};
        location ~ ^/rate/(?<rate>[0-9]+)/(?<file>[^/]+)$ {{
            limit_rate $rate;
            alias {www}/$file;
        }}
        location /upload {{
            proxy_pass http://127.0.0.1:8081;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""
