<%@ page contentType="text/html" session="false" trimDirectiveWhitespaces="true" %>
<%-- An ordinary page. The pause stands for the work of a real app. --%>
<% Thread.sleep(50); %>
<!doctype html>
<title>Parcels</title>
<ul>
<% for (int id = 41; id <= 43; id++) { %>
  <li><a href="index.html?id=<%= id %>">Parcel <%= id %></a></li>
<% } %>
</ul>
