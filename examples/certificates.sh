#!/bin/sh
# Everything the examples need, made by openssl in a folder: sh examples/certificates.sh [folder, default "certs"]
#   ca.crt                    a private authority
#   site.crt  keys/site.key   a site; its key is for the key server alone
#   server.crt  server.pem    the key server's identity
#   edge.crt  edge.pem        the edge's identity
#   policy.json               of a key server that gives this edge ticket keys,
#   ticket.secret             derived from this
set -eu
umask 077
mkdir -p "${1:-certs}/keys"
cd "${1:-certs}"

key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1" 2>/dev/null; }

issue() { # name, key file, extended key usage
  key "$2"
  printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=%s\n' "$3" >extensions
  openssl req -new -key "$2" -subj "/CN=$1" -out request
  openssl x509 -req -in request -CA ca.crt -CAkey ca.pem -CAcreateserial -days 30 -extfile extensions \
    -out "$1.crt" 2>/dev/null
}

key ca.pem
openssl req -x509 -key ca.pem -subj '/CN=keyless-tls examples' -days 30 -out ca.crt
issue site keys/site.key serverAuth
issue server server.pem serverAuth
issue edge edge.pem clientAuth
openssl rand -base64 32 >ticket.secret
echo '{ "version": 1, "clients": [{ "name": "edge", "identities": ["DNS:localhost"], "tickets": { "group": "edges" } }] }' >policy.json
rm -f request extensions ca.pem ca.srl
