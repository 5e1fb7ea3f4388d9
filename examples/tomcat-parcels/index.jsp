<%@ page contentType="text/html; charset=UTF-8" trimDirectiveWhitespaces="true" %>
<%@ include file="/WEB-INF/parcels.jspf" %>
<%-- A page as it is without Holdfast, but for the scripts at the end. --%>
<% String user = request.getRemoteUser(), parcel = PARCELS.get(user); %>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Parcels</title>
<link rel="stylesheet" href="parcels.css">
</head>
<body>
<div class="card">
  <header>
    <span id="who">Logged in as <b><%= html(user) %></b></span>
    <form method="post" action="logout.jsp"><button id="logout" class="quiet">Log out</button></form>
  </header>
  <h1>Parcel <span id="parcel"><%= parcel %></span></h1>
  <ol id="stops">
    <% for (String[] stop : stops(parcel)) { %>
    <li><time><%= stop[0] %></time> <span><%= html(stop[1]) %></span></li>
    <% } %>
  </ol>
  <p id="light"><span id="word">Connecting…</span></p>
</div>
<script src="/_push/client.js"></script>
<script>var push = new Holdfast("user.<%= html(user) %>", {url: "/_push?last=1"});</script>
<script src="parcels.js"></script>
</body>
</html>
