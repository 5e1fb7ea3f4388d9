import java.net.URI;
import java.net.http.*;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import java.util.concurrent.*;
import javax.net.ssl.*;

/** Client makes requests of https://HOST:PORT, args[0], with the version of TLS in args[1], and holds a WebSocket there. */
class Client {
    public static void main(String[] args) throws Exception {
        System.setProperty("jdk.internal.httpclient.disableHostnameVerification", "true");
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, new TrustManager[] {new X509ExtendedTrustManager() {
            public void checkClientTrusted(X509Certificate[] c, String a) {}
            public void checkServerTrusted(X509Certificate[] c, String a) {}
            public void checkClientTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
            public void checkServerTrusted(X509Certificate[] c, String a, java.net.Socket s) {}
            public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine e) {}
            public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine e) {}
            public X509Certificate[] getAcceptedIssuers() { return new X509Certificate[0]; }
        }}, new SecureRandom());
        SSLParameters parameters = new SSLParameters();
        parameters.setProtocols(new String[] {args[1]});
        HttpClient client = HttpClient.newBuilder().sslContext(context).sslParameters(parameters).build();
        URI base = URI.create(args[0]);
        for (int n : new int[] {0, 1, 100_000, 3_000_000}) {
            HttpRequest post = HttpRequest.newBuilder(base.resolve("/echo")).POST(HttpRequest.BodyPublishers.ofString("x".repeat(n))).build();
            HttpResponse<String> response = client.send(post, HttpResponse.BodyHandlers.ofString());
            System.out.println(response.statusCode() + " " + response.version() + " " + response.body().length() + " "
                + response.sslSession().get().getProtocol());
        }
        CompletableFuture<String> message = new CompletableFuture<>();
        WebSocket socket = client.newWebSocketBuilder().buildAsync(URI.create("wss://" + base.getAuthority() + "/_push?channel=public.a"),
            new WebSocket.Listener() {
                public CompletionStage<?> onText(WebSocket s, CharSequence data, boolean last) {
                    message.complete(data.toString());
                    return null;
                }
            }).get(30, TimeUnit.SECONDS);
        System.out.println("held");
        System.out.println("message " + message.get(30, TimeUnit.SECONDS));
        socket.sendClose(1000, "").get(30, TimeUnit.SECONDS);
    }
}
