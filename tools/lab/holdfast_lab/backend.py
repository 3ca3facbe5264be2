"""What runs on a backend: nginx on port 80, and a server of predictable bytes on port 9000."""
import os

NGINX = """
daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 80;
        listen [::]:80;
        root {dir}/www;
        location /slow/ {{ alias {dir}/www/; limit_rate {rate}; }}
    }}
}}
"""


def commands(directory, root):
    os.makedirs(os.path.join(directory, "www"), exist_ok=True)
    conf = os.path.join(directory, "nginx.conf")
    with open(conf, "w", encoding="utf-8") as f:
        f.write(NGINX.format(dir=directory, rate="10m"))
    with open(os.path.join(directory, "www", "index.html"), "w", encoding="utf-8") as f:
        f.write("holdfast\n")
    stream = os.path.join(root, "tools", "lab", "holdfast_lab", "stream_server.py")
    return {
        "nginx": ["nginx", "-e", f"{directory}/nginx-error.log", "-p", directory, "-c", conf],
        "stream": ["python3", stream, "9000"],
    }
