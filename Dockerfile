# docker build -t holdfast .
# docker run -p 8080:8080 -v ./my-config.yaml:/config.yaml holdfast
#
# Docker can publish only what listens on other addresses than loopback: the image's own config.yaml has
# listen: ":8080", and yours should. The API listener stays on loopback unless hooks.token is set.
#
# A test replays these instructions without Docker (internal/e2e/dockerfile_test.go), so RUN keeps
# to plain commands and paths below WORKDIR.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN sed -i 's/^listen: .*/listen: ":8080"/' config.yaml
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o holdfast .
# What the image has: the CAs of upstreams and of ACME, and a folder for temporary files besides.
RUN mkdir -p image/etc/ssl/certs image/tmp && chmod 1777 image/tmp && \
    cp /etc/ssl/certs/ca-certificates.crt image/etc/ssl/certs/ && cp holdfast config.yaml image/

FROM scratch
COPY --from=build /src/image/ /
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/holdfast"]
CMD ["-config", "/config.yaml"]
