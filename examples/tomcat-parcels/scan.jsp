<%@ page contentType="application/json" session="false" trimDirectiveWhitespaces="true" import="java.net.*, java.net.http.*, java.time.*" %>
<%@ include file="/WEB-INF/parcels.jspf" %>
<%! static final HttpClient client = HttpClient.newHttpClient(); %>
<%
    // What the courier's scanner calls. A real app asks who is calling: this one lets anybody.
    request.setCharacterEncoding("UTF-8");
    String parcel = request.getParameter("parcel"), text = request.getParameter("text"), owner = null;
    for (var e : PARCELS.entrySet()) if (e.getValue().equals(parcel)) owner = e.getKey();
    if (owner == null || text == null || text.isBlank()) {
        response.sendError(400);
        return;
    }
    stops(parcel);
    synchronized (STOPS) {
        STOPS.get(parcel).add(0, new String[]{LocalTime.now().toString().substring(0, 5), text});
    }

    // Its owner's pages show it, wherever they are open. The rest of the app does not change.
    var stops = new StringJoiner(",");
    for (String[] stop : stops(parcel)) stops.add("{\"at\":" + json(stop[0]) + ",\"text\":" + json(stop[1]) + "}");
    var message = "{\"channel\":" + json("user." + owner) + ",\"data\":{\"parcel\":" + json(parcel) + ",\"stops\":[" + stops + "]}}";
    URI publish = URI.create(System.getenv().getOrDefault("HOLDFAST_HOOKS", "http://127.0.0.1:9090") + "/publish");
    var post = HttpRequest.newBuilder(publish).header("Content-Type", "application/json")
        .POST(HttpRequest.BodyPublishers.ofString(message)).build();
    out.print(client.send(post, HttpResponse.BodyHandlers.ofString()).body());
%>
