# docker build -t holdfast .
# docker run --network host -v ./my-config.yaml:/config.yaml holdfast
#
# A test replays these instructions without Docker (internal/e2e/dockerfile_test.go), so RUN keeps
# to plain commands and paths below WORKDIR.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags=-s -o holdfast .

FROM scratch
COPY --from=build /src/holdfast /src/config.yaml /
USER 65534:65534
EXPOSE 8080
ENTRYPOINT ["/holdfast"]
CMD ["-config", "/config.yaml"]
