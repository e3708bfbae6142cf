#!/bin/bash
# The work of `matrix-baremetal install` by hand, without looking before or after: what the benchmark holds it
# against. Runs as root in a guest that has our package and so all that apt brings.
#
#     by_hand.sh uv|pip RENDERED DOMAIN CLUSTER
#
# RENDERED is what `matrix-baremetal render` wrote: the same files as ours, so the same server comes out of it. pip is
# the usual recipe: a compiler, then `pip install matrix-synapse[postgres]` without a lock. Prints each step's seconds.
set -eEuo pipefail
trap 'echo "by_hand.sh: line $LINENO failed" >&2; journalctl -q -n 5 -u matrix-synapse >&2' ERR
way=$1 rendered=$2 domain=$3 cluster=$4
version=$(ls "$rendered"/locks | sed -n 's/^synapse-\(.*\)\.txt$/\1/p')
opt=/opt/matrix-baremetal/synapse
began=$EPOCHREALTIME

step() {
    now=$EPOCHREALTIME
    awk -v name="$1" -v a="$began" -v b="$now" 'BEGIN { printf "%s\t%.2f\n", name, b - a }'
    began=$now
}

database() {
    cp -r "$rendered/etc/postgresql/." /etc/postgresql/
    systemctl restart "postgresql@$cluster"
    step "Postgres with its settings"
    cd /tmp
    runuser -u postgres -- createuser matrix-synapse
    runuser -u postgres -- createdb --owner=matrix-synapse --encoding=UTF8 --locale=C --template=template0 matrix-synapse
    step "role and database"
}

with_uv() {
    mkdir -p "$opt/uv"
    pip=$(echo /usr/share/python-wheels/pip-*.whl)
    python3 -I "$pip/pip" download -q --disable-pip-version-check --no-deps \
        --require-hashes -r "$rendered/locks/uv.txt" -d "$opt/uv"
    python3 -m zipfile -e "$opt"/uv/uv-*.whl "$opt/uv"
    uv=$(echo "$opt"/uv/uv-*.data/scripts/uv)
    chmod 755 "$uv"
    step "uv"
    "$uv" venv -q --no-python-downloads --python /usr/bin/python3 "$opt/$version"
    "$uv" pip install -q --python "$opt/$version/bin/python" --system-certs --require-hashes --no-deps \
        --compile-bytecode -r "$rendered/locks/synapse-$version.txt"
    step "virtualenv"
}

with_pip() {
    apt-get install -q -y build-essential python3-dev libpq-dev libffi-dev >/dev/null
    step "a compiler"
    python3 -m venv "$opt/$version"
    "$opt/$version/bin/pip" install -q --upgrade pip
    # The newest of its needs are not to be had by everybody who reads this next year; the newest Synapse is named.
    "$opt/$version/bin/pip" install -q "matrix-synapse[postgres]==$version"
    step "virtualenv"
}

server() {
    secrets=/etc/matrix-baremetal/secrets
    mkdir -p -m 700 "$secrets"
    mkdir -p /var/lib/matrix-synapse /etc/matrix-synapse/conf.d
    install -d -o matrix-synapse -g matrix-synapse -m 750 /var/lib/matrix-synapse/media
    umask 077
    for name in registration_shared_secret macaroon_secret_key form_secret; do
        openssl rand -hex 32 > "$secrets/$name"
    done
    echo "ed25519 a_test $(openssl rand -base64 32 | tr -d =)" > /var/lib/matrix-synapse/signing.key
    umask 022
    cp -r "$rendered/etc/matrix-synapse/." /etc/matrix-synapse/
    chgrp -R matrix-synapse /etc/matrix-synapse
    chmod -R g+rX /etc/matrix-synapse
    ln -sfn "$version" "$opt/current"
    systemctl enable -q --now matrix-synapse.service
    until curl -sf -o /dev/null http://127.0.0.1:8008/health; do sleep 0.1; done
    step "Synapse, until it answers"
}

certificates() {
    mkdir -p /var/lib/matrix-baremetal/acme /var/lib/matrix-baremetal/well-known
    cp -r "$rendered/var/lib/matrix-baremetal/well-known/." /var/lib/matrix-baremetal/well-known/
    cat > /etc/nginx/sites-enabled/by-hand <<N
server {
    listen 80;
    listen [::]:80;
    server_name matrix.$domain $domain;
    location /.well-known/acme-challenge/ { root /var/lib/matrix-baremetal/acme; }
}
N
    systemctl reload nginx
    for name in "matrix.$domain" "$domain"; do
        certbot certonly -q --non-interactive --agree-tos --email "admin@$domain" --webroot \
            -w /var/lib/matrix-baremetal/acme -d "$name" --cert-name "$name"
        mkdir -p "/etc/matrix-baremetal/tls/$name"
        ln -sfn "/etc/letsencrypt/live/$name" "/etc/matrix-baremetal/tls/$name/current"
        step "certificate for ${name/$domain/DOMAIN}"
    done
    rm /etc/nginx/sites-enabled/by-hand
    cp "$rendered/etc/nginx/sites-enabled/zz-matrix-baremetal" /etc/nginx/sites-enabled/
    systemctl reload nginx
    until curl -sf -o /dev/null "https://matrix.$domain/_matrix/client/versions"; do sleep 0.1; done
    step "nginx, until it answers"
}

administrator() {
    openssl rand -hex 16 > /root/password
    echo "registration_shared_secret: $(cat "$secrets/registration_shared_secret")" > /root/secret.yaml
    "$opt/current/bin/register_new_matrix_user" --admin -u alice --password-file /root/password -c /root/secret.yaml \
        http://127.0.0.1:8008 >/dev/null
    step "first administrator"
}

database
"with_$way"
server
certificates
administrator
