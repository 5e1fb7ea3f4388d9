<%@ page contentType="application/json" import="java.net.*, java.net.http.*" trimDirectiveWhitespaces="true" %>
<%! static final HttpClient client = HttpClient.newHttpClient(); %>
<%
    request.setCharacterEncoding("UTF-8");
    String channel = request.getParameter("channel") == null ? "public.news" : request.getParameter("channel");
    String hooks = System.getenv().getOrDefault("HOLDFAST_HOOKS", "http://127.0.0.1:9090");
    URI publish = URI.create(hooks + "/publish?channel=" + URLEncoder.encode(channel, "UTF-8"));
    var message = HttpRequest.BodyPublishers.ofString(request.getParameter("text"));
    out.print(client.send(HttpRequest.newBuilder(publish).POST(message).build(), HttpResponse.BodyHandlers.ofString()).body());
%>
